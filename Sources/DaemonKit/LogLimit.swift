internal import Logging
public import SystemIO

/// When to log again what goes on: at first, and then from time to time. Not for several threads.
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

  /// It is over.
  public mutating func reset() {
    last = nil
  }
}

/// How many lines a log gets, whoever causes them, and how long they are. Not for several threads.
struct LogLimit {
  private var news = RateLimit(perSecond: 10, burst: 1000)
  /// Of the level warning and worse, so that news do not drown them.
  private var problems = RateLimit(perSecond: 2, burst: 200)

  /// In bytes; what others have sent may be quoted in a line.
  static let maximumLength = 2000

  /// Whether one more line may be written. What only a level for finding errors shows has no bound.
  mutating func allows(_ level: Logger.Level, at now: Instant) -> Bool {
    switch level {
    case .trace, .debug: true
    case .info, .notice: news.allow(at: now)
    case .warning, .error, .critical: problems.allow(at: now)
    }
  }

  /// The text as one line, whatever is quoted in it.
  static func oneLine(_ text: String) -> String {
    let isClean = text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    guard !isClean || text.utf8.count > maximumLength else { return text }
    let clean = text.utf8.prefix(maximumLength).map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
    return String(decoding: clean, as: UTF8.self) + (text.utf8.count > maximumLength ? "…" : "")
  }
}
