import ArgumentParser
import Program

struct MnedcPeers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-peers",
    abstract: "Lists the devices of the network that this host is in, and what they offer.",
    discussion: """
      Asks the daemon on this host. Any user may. Without a command it lists: 'mnedc-peers help list' has the options.
      """,
    version: suiteVersion,
    subcommands: [List.self, Show.self, Ping.self],
    defaultSubcommand: List.self)
}

@main
enum Entry {
  static func main() {
    Program.run(MnedcPeers.self)
  }
}
