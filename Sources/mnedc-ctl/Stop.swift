import ArgumentParser
import CommandLine
import Control

struct Stop: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stops a daemon.",
    discussion: "For root, and for the user that the daemon runs as.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let path = try control.askAndLocate(.stop, Done.self).path
    try output.show(StopReport(socket: path)) { "the daemon at \(path) stops" }
  }
}
