import ArgumentParser
import CommandLine
import Config
import Control

struct LogLevel: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log-level",
    abstract: "Shows or sets what a daemon logs.",
    discussion: """
      The level holds until it is set again, a reload finds another log-level in the configuration, or the daemon is \
      restarted. For root, and for the daemon's user.
      """)

  @Argument(
    help: "Log this level and worse: trace, debug, info, notice, warning, error, critical (default: show the level).",
    completion: .list(Settings.LogLevel.allCases.map(\.rawValue)),
    transform: { try ValueKind<Settings.LogLevel>.logLevel.option($0) })
  var level: Settings.LogLevel?

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: LogLevelReport = try control.ask(.logLevel(level?.rawValue))
    try output.show(report) {
      let isOther = report.level != report.configuredLevel
      return report.level + (isOther ? " until the next start, then \(report.configuredLevel)" : "")
    }
  }
}
