import ArgumentParser
import CommandLine
import Control
import SystemIO

/// How an answer is shown.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON.")
  var json = false

  /// Prints `report` as JSON, or as the text that `text` makes of it.
  func show(_ report: some Codable, as text: () -> String) throws {
    try printOut(json ? JSON.pretty(report) : text())
  }

  /// The same of a table. Where it `isEmpty`, standard error says so: what reads the table need not know.
  func show(_ report: some Codable, as table: Table, isEmpty: Bool, _ remark: String) throws {
    try show(report) { table.shown }
    if isEmpty, !json { printError(remark) }
  }
}
