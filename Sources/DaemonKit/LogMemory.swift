internal import Logging

/// The last lines of a daemon's log, for those who ask the daemon. Not for several threads.
struct LogMemory {
  struct Line {
    /// As the log shows it.
    var time: String
    /// In seconds since 1970.
    var unixTime: Int64
    var level: Logger.Level
    var text: String
    /// What of the text makes it another line, where not all of it does; see `LogOutput.subject`.
    var subject: String?

    fileprivate func isAgain(_ former: Line) -> Bool { (subject ?? text) == (former.subject ?? former.text) }
  }

  /// Of every level that is logged.
  private(set) var recent = Last<Line>(200)
  /// Of the level warning and worse, so that news do not drive them out, oldest first. What is said again is there once, as it
  /// was said last, so that it does not drive out what came before.
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

/// The last so many of what was added.
struct Last<Element> {
  private let capacity: Int
  private var elements: [Element] = []
  /// Where the oldest is, once there are as many as there may be.
  private var oldest = 0

  init(_ capacity: Int) {
    self.capacity = capacity
  }

  mutating func add(_ element: Element) {
    guard elements.count == capacity else { return elements.append(element) }
    elements[oldest] = element
    oldest = (oldest + 1) % capacity
  }

  /// The oldest first.
  var inOrder: [Element] { Array(elements[oldest...] + elements[..<oldest]) }
}
