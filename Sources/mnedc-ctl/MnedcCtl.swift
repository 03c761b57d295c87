import ArgumentParser
import Program

struct MnedcCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-ctl",
    abstract: "Talks to the daemons that run on this host.",
    version: suiteVersion,
    subcommands: [
      Status.self, ShowMetrics.self, Key.self, RotateKey.self, Invite.self, Invites.self, Uninvite.self, Pending.self,
      Approve.self, Deny.self, Devices.self, Revoke.self, Forget.self, Leases.self, Lease.self, Announce.self,
      Explain.self,
      Netcheck.self, Reload.self, LogLevel.self, Drain.self, Stop.self, Report.self,
    ])

  func run() throws {
    throw Failure(.usage, "name a command, such as status or invite; see mnedc-ctl --help")
  }
}

@main
enum Entry {
  static func main() {
    Program.run(MnedcCtl.self)
  }
}
