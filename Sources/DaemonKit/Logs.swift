internal import CommandLine
public import Logging
internal import Synchronization
public import SystemIO
public import SystemPackage

/// A daemon's log: on standard error, or in the system's log if the daemon is in the background.
///
/// A thread writes the lines, so that a stopped terminal or a full pipe blocks no other thread. Lines beyond
/// `maximumLines` or `LogLimit` are counted and left out; debug and trace have no rate limit.
public final class LogOutput: Sendable {
  // Set once.
  private let program: String
  private let hasLines: WakeUp
  private let hasColour = Terminal.takesColour(.error)

  // For any thread: the index of the lowest level that is logged.
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
    /// `nil` for text that `show` was given.
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

  /// The metadata key for the part of a line that stays the same when, for example, a delay in it changes. The engines
  /// do not import this module, so they use the text of the key.
  public static let subject = "subject"

  /// Begins with standard error. The journal adds the time itself.
  public init(program: String, level: Logger.Level) throws(Errno) {
    self.program = program
    threshold = Atomic(level.place)
    hasLines = try WakeUp()
    state = Mutex(State(target: .standardError(withTime: !standardErrorIsJournal())))
  }

  /// Switches to the system's log, after the waiting lines are on standard error.
  public func useSystemLog() {
    flush()
    state.withLock { $0.target = .systemLog }
  }

  /// The lowest level that all loggers of this output write.
  public var level: Logger.Level {
    get { Logger.Level.allCases[threshold.load(ordering: .relaxed)] }
    set { threshold.store(newValue.place, ordering: .relaxed) }
  }

  var recent: [LogMemory.Line] { state.withLock { $0.memory.recent.inOrder } }

  var problems: [LogMemory.Line] { state.withLock { $0.memory.problems } }

  /// A logger that writes here.
  public func logger() -> Logger {
    Logger(label: program) { _ in LineLogHandler(output: self) }
  }

  /// Writes a line to standard error as it is, in order with the log's lines. The system's log does not get it.
  public func show(_ text: String) {
    enqueue(Line(nil, text))
  }

  /// Waits until all lines are written, for a second at most.
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
    // The next line written says how many were left out.
    guard let needsThread else { return }
    // The thread starts with the first line, after the signals are blocked.
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

  /// Shared by all loggers, so that one change reaches all.
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

  /// Priorities of syslog(3).
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

/// The daemon's latest log lines, for `status` and reports. For one thread at a time.
struct LogMemory {
  struct Line {
    var time: String
    /// In seconds since 1970.
    var unixTime: Int64
    var level: Logger.Level
    var text: String
    /// The text that two equal lines share; see `LogOutput.subject`.
    var subject: String?

    fileprivate func isAgain(_ former: Line) -> Bool { (subject ?? text) == (former.subject ?? former.text) }
  }

  private(set) var recent = Last<Line>(200)
  /// Warnings and worse, kept apart so that other lines do not push them out, oldest first. A repeated line is there
  /// once, with its latest time.
  private(set) var problems: [Line] = []
  private static let maximumProblems = 5

  mutating func add(_ line: Line) {
    recent.add(line)
    guard line.level >= .warning else { return }
    problems.removeAll { line.isAgain($0) }
    if problems.count == Self.maximumProblems { problems.removeFirst() }
    problems.append(line)
  }
}

/// A ring of the latest elements.
struct Last<Element> {
  private let capacity: Int
  private var elements: [Element] = []
  /// The index of the oldest, once the ring is full.
  private var oldest = 0

  init(_ capacity: Int) {
    self.capacity = capacity
  }

  mutating func add(_ element: Element) {
    guard elements.count == capacity else { return elements.append(element) }
    elements[oldest] = element
    oldest = (oldest + 1) % capacity
  }

  var inOrder: [Element] { Array(elements[oldest...] + elements[..<oldest]) }
}

/// Limits the rate and the length of log lines. For one thread at a time.
struct LogLimit {
  private var news = RateLimit(perSecond: 10, burst: 1000)
  /// Warnings and worse have their own limit, so that other lines do not use it up.
  private var problems = RateLimit(perSecond: 2, burst: 200)

  /// In bytes. A line may quote what another host has sent.
  static let maximumLength = 2000

  /// Whether one more line may be written.
  mutating func allows(_ level: Logger.Level, at now: Instant) -> Bool {
    switch level {
    case .trace, .debug: true
    case .info, .notice: news.allow(at: now)
    case .warning, .error, .critical: problems.allow(at: now)
    }
  }

  /// The text as one line of limited length.
  static func oneLine(_ text: String) -> String {
    let isClean = text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    guard !isClean || text.utf8.count > maximumLength else { return text }
    let clean = text.utf8.prefix(maximumLength).map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
    return String(decoding: clean, as: UTF8.self) + (text.utf8.count > maximumLength ? "…" : "")
  }
}

/// Decides when a condition that lasts is logged: at first, and then at intervals. For one thread at a time.
public struct Reminder {
  private let interval: Duration
  private var last: (subject: String, at: Instant)?

  public init(every interval: Duration) {
    self.interval = interval
  }

  /// Whether a line about this subject is due.
  public mutating func isDue(_ subject: String, at now: Instant) -> Bool {
    if let last, last.subject == subject, now.since(last.at) < interval { return false }
    last = (subject, now)
    return true
  }

  /// The condition has ended.
  public mutating func reset() {
    last = nil
  }
}
