internal import CommandLine
public import Logging
internal import Synchronization
internal import SystemIO
public import SystemPackage

/// Where a daemon's log goes: standard error, or the system's log once it has gone to the background.
///
/// A thread of its own writes the lines, so that a terminal that is stopped or a pipe that nobody reads holds nobody else
/// up; lines beyond what may wait are counted and left out, and so are those beyond a number a minute, whoever causes them. What
/// only a level for finding errors shows (debug, trace) has no such bound.
public final class LogOutput: Sendable {
  // Set once.
  private let program: String
  private let hasLines: WakeUp
  private let hasColour = Terminal.takesColour(.error)

  // For any thread: the place of the least level that is logged among all levels.
  private let threshold: Atomic<Int>

  // Guarded by its lock.
  private let state: Mutex<State>

  private struct State {
    var target: Target
    var lines: [Line] = []
    var leftOut = 0
    var limit = LogLimit()
    var memory = LogMemory()
    var isWriting = false
    var hasThread = false
  }

  private enum Target {
    case standardError(withTime: Bool)
    case systemLog
  }

  private struct Line {
    /// `nil` for what is shown as it is.
    var level: Logger.Level?
    var text: String
    var subject: String?
    var time: String

    init(_ level: Logger.Level?, _ text: String, subject: String? = nil) {
      self.level = level
      self.text = text
      self.subject = subject
      time = localTime()
    }
  }

  private static let maximumLines = 1000

  /// The metadata of a line whose text differs from one time to the next, as by a delay: what stays the same. It is not shown. The
  /// engines, which do not know this module, give it by that name.
  public static let subject = "subject"

  /// Begins with standard error. The journal has the time already, so it is not given there.
  public init(program: String, level: Logger.Level) throws(Errno) {
    self.program = program
    threshold = Atomic(level.place)
    hasLines = try WakeUp()
    state = Mutex(State(target: .standardError(withTime: !standardErrorIsJournal())))
  }

  /// From now on, everything goes to the system's log. What was to go to standard error goes there first.
  public func useSystemLog() {
    flush()
    state.withLock { $0.target = .systemLog }
  }

  /// What is of this level and worse is logged, by every logger that writes here.
  public var level: Logger.Level {
    get { Logger.Level.allCases[threshold.load(ordering: .relaxed)] }
    set { threshold.store(newValue.place, ordering: .relaxed) }
  }

  /// The last lines, oldest first; they are gone with the process.
  var recent: [LogMemory.Line] { state.withLock { $0.memory.recent.inOrder } }

  /// The last lines of the level warning and worse, oldest first.
  var problems: [LogMemory.Line] { state.withLock { $0.memory.problems } }

  /// A logger that writes here.
  public func logger() -> Logger {
    Logger(label: program) { _ in LineLogHandler(output: self) }
  }

  /// Writes a line for a person in front of standard error, as it is and among the log's lines; the system's log does not get it.
  public func show(_ text: String) {
    enqueue(Line(nil, text))
  }

  /// Waits until all lines are written, but no more than a second.
  public func flush() {
    let deadline = Instant.now().advanced(by: .seconds(1))
    while state.withLock({ !$0.lines.isEmpty || $0.isWriting }), Instant.now() < deadline {
      sleep(for: .milliseconds(1))
    }
  }

  fileprivate func add(_ level: Logger.Level, _ text: String, subject: String?) {
    enqueue(Line(level, LogLimit.oneLine(text), subject: subject))
  }

  private func enqueue(_ line: Line) {
    let needsThread: Bool? = state.withLock { state in
      guard state.lines.count < Self.maximumLines, line.level.map({ state.limit.allows($0, at: .now()) }) ?? true else {
        state.leftOut += 1
        return nil
      }
      state.lines.append(line)
      if let level = line.level {
        state.memory.add(
          LogMemory.Line(
            time: line.time, unixTime: UnixTime.now(), level: level, text: line.text, subject: line.subject))
      }
      defer { state.hasThread = true }
      return !state.hasThread
    }
    // Whatever is left out is told with the next line that is not.
    guard let needsThread else { return }
    // Not before the first line: threads are started once the signals are blocked.
    if needsThread { SystemThread.detach(name: "log") { self.writeLines() } }
    hasLines.raise()
  }

  private func writeLines() {
    while true {
      guard hasLines.wait(until: Instant.now().advanced(by: .seconds(3600))) else { continue }
      hasLines.lower()
      let (lines, leftOut, target) = state.withLock { state in
        defer {
          state.lines = []
          state.leftOut = 0
          state.isWriting = true
        }
        return (state.lines, state.leftOut, state.target)
      }
      for line in lines { write(line, to: target) }
      if leftOut > 0 {
        write(Line(.warning, "\(leftOut) lines are left out"), to: target)
      }
      state.withLock { $0.isWriting = false }
    }
  }

  private func write(_ line: Line, to target: Target) {
    guard let level = line.level else {
      if case .standardError = target { printError(line.text) }
      return
    }
    switch target {
    case .standardError(let withTime):
      let time = withTime ? "\(line.time) " : ""
      var mark = level >= .warning ? "\(level): " : ""
      if !mark.isEmpty, hasColour { mark = (level == .warning ? Colour.yellow : .red).paint(mark) }
      printError("\(time)\(program): \(mark)\(line.text)")
    case .systemLog:
      logToSystem(program, priority: level.priority, line.text)
    }
  }
}

private struct LineLogHandler: LogHandler {
  let output: LogOutput
  var metadata: Logger.Metadata = [:]

  /// One for all, so that it can change while everybody has a copy of the logger.
  var logLevel: Logger.Level {
    get { output.level }
    nonmutating set { output.level = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    output.add(event.level, event.message.description, subject: event.metadata?[LogOutput.subject]?.description)
  }
}

extension Logger.Level {
  fileprivate var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }

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
