import ArgumentParser
import Program

struct MnedcCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-ctl",
    abstract: "Talks to the daemons that run on this host.",
    version: suiteVersion,
    subcommands: [Status.self, Stop.self])

  func run() throws {
    throw Failure(.usage, "name a command: status or stop; see mnedc-ctl --help")
  }
}

@main
enum Entry {
  static func main() {
    Program.run(MnedcCtl.self)
  }
}
