internal import CommandLine
internal import Config
internal import Control

extension Daemon {
  /// What the daemon goes by and what it has said of late.
  func diagnostics() -> DiagnosticsReport {
    DiagnosticsReport(
      configuration: (settingsInForce ?? Settings()).withoutCommands.render(),
      log: output.recent.map { LogLineReport($0) })
  }
}

extension LogLineReport {
  init(_ line: LogMemory.Line) {
    self.init(time: line.time, loggedAt: Int(line.unixTime), level: "\(line.level)", text: line.text)
  }
}
