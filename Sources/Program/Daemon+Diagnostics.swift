public import Config
internal import Control

extension Daemon {
  /// What the daemon goes by and what it has said of late.
  func diagnostics() -> DiagnosticsReport {
    DiagnosticsReport(
      configuration: (settingsInForce ?? Settings()).withoutCommands.render(),
      log: output.recent.map { LogLineReport($0) })
  }
}

extension Settings {
  /// For others to see: arguments of a command may be passwords and the like.
  public var withoutCommands: Settings {
    var settings = self
    if settings.join.onPeer.count > 1 { settings.join.onPeer[1...] = ["(arguments left out)"] }
    return settings
  }
}

extension LogLineReport {
  init(_ line: LogMemory.Line) {
    self.init(time: line.time, loggedAt: Int(line.unixTime), level: "\(line.level)", text: line.text)
  }
}
