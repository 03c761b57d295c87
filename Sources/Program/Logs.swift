public import Logging
internal import Synchronization
internal import SystemIO

/// Where a daemon's log goes: standard error, or the system's log once it has gone to the background.
public final class LogOutput: Sendable {
  private enum Target {
    case standardError(withTime: Bool)
    case systemLog
  }

  private let program: String
  private let target: Mutex<Target>

  /// Begins with standard error. The journal has the time already, so it is not given there.
  public init(program: String) {
    self.program = program
    target = Mutex(.standardError(withTime: !standardErrorIsJournal()))
  }

  /// From now on, everything goes to the system's log.
  public func useSystemLog() {
    target.withLock { $0 = .systemLog }
  }

  /// A logger that writes here.
  public func logger(level: Logger.Level) -> Logger {
    var logger = Logger(label: program) { _ in LineLogHandler(output: self) }
    logger.logLevel = level
    return logger
  }

  fileprivate func write(_ level: Logger.Level, _ text: String) {
    switch target.withLock({ $0 }) {
    case .standardError(let withTime):
      let time = withTime ? "\(localTime()) " : ""
      let mark = level >= .warning ? "\(level): " : ""
      printError("\(time)\(program): \(mark)\(text)")
    case .systemLog:
      logToSystem(program, priority: level.priority, text)
    }
  }
}

private struct LineLogHandler: LogHandler {
  let output: LogOutput
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    output.write(event.level, event.message.description)
  }
}

extension Logger.Level {
  /// The numbers of syslog(3).
  fileprivate var priority: Int32 {
    switch self {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}
