import ArgumentParser
import CommandLine
import Control
import SystemIO

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(for: "explain")

  @Argument(help: "The peer's ID, host name or virtual address.", completion: .peers)
  var peer: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try ControlOptions.check(peer: peer)
  }

  func run() throws {
    let time = Int(control.timeout.nanoseconds / 1_000_000)
    let limit = min(max(time, ControlCommand.askRange.lowerBound), ControlCommand.askRange.upperBound)
    let report: ExplainReport = try control.waitingLonger(by: control.timeout)
      .ask(.explain(peer: peer, milliseconds: limit))
    try output.show(report) { Self.text(report) }
    if let step = report.steps.first(where: { $0.result == .fail }) {
      throw Failure(.unavailable, "the path to \(report.peer) fails at \(step.name): \(step.finding)")
    }
  }

  private static func text(_ report: ExplainReport) -> String {
    let address = report.address.map { " (\($0))" } ?? ""
    let steps = CheckText.lines(report.steps)
    // Otherwise the error says so.
    guard report.failedStep == nil else { return steps }
    let isNameless = report.steps.contains { $0.name == "name" && $0.result == .warn }
    return steps + "\n\nthe path to \(report.deviceId ?? report.peer)\(address) works"
      + (isNameless ? " by address; its name does not resolve on this host" : "")
  }
}
