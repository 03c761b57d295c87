import ArgumentParser
import Control
import Program

/// How an answer is shown.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON.")
  var json = false

  /// Prints `report` as JSON, or as the text that `text` makes of it.
  func show(_ report: some Codable, as text: () -> String) throws {
    try printOut(json ? JSON.pretty(report) : text())
  }
}
