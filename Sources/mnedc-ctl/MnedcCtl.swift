import ArgumentParser
import CommandLine

typealias ControlOptions = DaemonChoice<ConfigOptions>

struct MnedcCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-ctl",
    abstract: "Talks to the daemons that run on this host.",
    version: suiteVersion,
    groupedSubcommands: [
      CommandGroup(
        name: "Diagnosis",
        subcommands: [Status.self, Explain.self, Netcheck.self, ShowMetrics.self, Report.self]),
      CommandGroup(
        name: "Daemon",
        subcommands: [
          Reload.self, LogLevel.self, Announce.self, Key.self, RotateKey.self, Backup.self, Drain.self, Stop.self,
        ]),
      CommandGroup(
        name: "Relay",
        subcommands: [
          Invite.self, Invites.self, Uninvite.self, Pending.self, Approve.self, Deny.self, Devices.self, Revoke.self,
          Forget.self, Leases.self, Lease.self,
        ]),
    ])

  func run() throws {
    throw Failure(.usage, "name a command, such as status or invite; see mnedc-ctl --help")
  }
}

@main
enum Entry {
  static func main() {
    runProgram(MnedcCtl.self)
  }
}
