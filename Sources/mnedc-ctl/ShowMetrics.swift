import ArgumentParser
import CommandLine
import Control
import Metrics

struct ShowMetrics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics",
    abstract: "Prints a daemon's metrics.",
    discussion: "In the format of OpenMetrics, or the text format of Prometheus. Any user may ask.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  @Option(
    help: ArgumentHelp(
      "Print openmetrics or prometheus (default: \(MetricsFormat.openMetrics.rawValue)).", valueName: "format"),
    completion: .list(MetricsFormat.allCases.map(\.rawValue)),
    transform: { text in
      guard let format = MetricsFormat(rawValue: text) else {
        throw ValidationError("'\(text)' is no format; expected openmetrics or prometheus")
      }
      return format
    })
  var format: MetricsFormat?

  func validate() throws {
    if output.json, format != nil { throw ValidationError("--json goes without --format") }
  }

  func run() throws {
    let report: MetricsReport = try control.ask(.metrics)
    try output.show(report) { (format ?? .openMetrics).text(report) }
  }
}
