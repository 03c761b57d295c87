import ArgumentParser
import CommandLine
import Control

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes a daemon read its configuration file again.",
    discussion: """
      Applies what can change while the daemon runs; sessions stay. A file with a mistake changes nothing. For root, and for \
      the daemon's user.
      """)

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: ReloadReport = try control.ask(.reload)
    try output.show(report) { Self.text(report) }
  }

  private static func text(_ report: ReloadReport) -> String {
    if report.applied.isEmpty, report.needsRestart.isEmpty { return "nothing has changed" }
    var parts: [String] = []
    for (title, changes) in [("applied", report.applied), ("needs a restart", report.needsRestart)]
    where !changes.isEmpty {
      parts.append("\(title):\n" + changes.map { "  \($0.key): \($0.old) -> \($0.new)" }.joined(separator: "\n"))
    }
    return parts.joined(separator: "\n")
  }
}
