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
      .daemon, .relay,
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
