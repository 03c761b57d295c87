import ArgumentParser
import CommandLine

/// Without `-c` for the configuration, as that is the count of `ping`, which is parsed with the options of all
/// commands.
typealias ControlOptions = DaemonChoice<LongConfigOptions>

struct MnedcPeers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-peers",
    abstract: "Lists the devices of the network that this host is in, and what they offer.",
    usage: """
      mnedc-peers [<options>]
      mnedc-peers <subcommand> [<options>]
      """,
    discussion: "Asks the daemon on this host. Any user may ask.",
    version: suiteVersion,
    subcommands: [List.self, Show.self, Ping.self])

  @OptionGroup var list: ListOptions

  func run() throws {
    try list.run()
  }
}

@main
enum Entry {
  static func main() {
    runProgram(MnedcPeers.self)
  }
}
