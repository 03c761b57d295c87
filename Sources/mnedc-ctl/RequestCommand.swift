import ArgumentParser
import CommandLine
import Control
import SystemIO

/// A subcommand that sends one request and prints the answer.
protocol RequestCommand: ParsableCommand {
  associatedtype Answer: Codable

  var control: ControlOptions { get }
  var output: OutputOptions { get }
  var request: ControlCommand { get throws }
  func text(_ report: Answer) -> String
  /// For standard error; `nil` if there is nothing to remark. Not printed with --json.
  func remark(_ report: Answer) -> String?
}

extension RequestCommand {
  func remark(_ report: Answer) -> String? { nil }

  func run() throws {
    let report: Answer = try control.ask(request)
    try output.show(report) { text(report) }
    if !output.json, let remark = remark(report) { printError(remark) }
  }
}

/// How an answer is shown.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON.")
  var json = false

  /// Prints `report` as JSON, or as the text that `text` makes of it.
  func show(_ report: some Codable, as text: () -> String) throws {
    try printOut(json ? JSON.pretty(report) : text())
  }
}
