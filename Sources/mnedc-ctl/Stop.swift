import ArgumentParser
import Control
import Program

struct Stop: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stops a daemon.",
    discussion: "For root, and for the user that the daemon runs as.")

  @OptionGroup var control: ControlOptions

  func run() throws {
    let path = try control.askAndLocate(.stop, Done.self).path
    try printOut("the daemon at \(path) stops")
  }
}
