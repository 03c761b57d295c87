import ArgumentParser
import CommandLine
import Control
import Metrics

struct ShowMetrics: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "metrics", "In the format of OpenMetrics, or the text format of Prometheus.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  @Option(
    help: ArgumentHelp(
      "Print openmetrics or prometheus (default: \(MetricsFormat.openMetrics.rawValue)).", valueName: "format"),
    completion: .list(MetricsFormat.allCases.map(\.rawValue)),
    transform: { text in
      guard let format = MetricsFormat(rawValue: text) else {
        throw ValidationError("'\(text)' is not a format; expected openmetrics or prometheus")
      }
      return format
    })
  var format: MetricsFormat?

  func validate() throws {
    if output.json, format != nil { throw ValidationError("--json goes without --format") }
  }

  var request: ControlCommand { .metrics }

  func text(_ report: MetricsReport) -> String { (format ?? .openMetrics).text(report) }
}
