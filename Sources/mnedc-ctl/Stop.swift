import ArgumentParser
import Control
import Program

struct Stop: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stops a daemon.",
    discussion: "For root, and for the user that the daemon runs as.")

  @OptionGroup var control: ControlOptions

  func run() throws {
    let path = try control.ask { path, timeout throws(ControlClient.Failure) in
      try ControlClient.stop(at: path, timeout: timeout)
      return path
    }
    try printOut("the daemon at \(path) stops")
  }
}
