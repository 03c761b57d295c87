import Logging
import SystemIO
import Testing

@testable import DaemonKit

@Suite struct LogLimitTests {
  private func allowed(_ limit: inout LogLimit, _ level: Logger.Level, of count: Int, at now: Instant) -> Int {
    (0..<count).count { _ in limit.allows(level, at: now) }
  }

  @Test func `a flood of news is cut to 600 lines a minute, and problems are written all the same`() {
    var limit = LogLimit()
    let now = Instant.now()
    #expect(allowed(&limit, .info, of: 5000, at: now) == 1000)
    #expect(allowed(&limit, .notice, of: 10, at: now) == 0)
    #expect(allowed(&limit, .warning, of: 5000, at: now) == 200)
    #expect(allowed(&limit, .error, of: 10, at: now) == 0)
    let later = now.advanced(by: .seconds(60))
    #expect(allowed(&limit, .info, of: 5000, at: later) == 600)
    #expect(allowed(&limit, .critical, of: 5000, at: later) == 120)
  }

  @Test func `who looks for an error sees every line`() {
    var limit = LogLimit()
    #expect(allowed(&limit, .debug, of: 5000, at: .now()) == 5000)
    #expect(allowed(&limit, .trace, of: 5000, at: .now()) == 5000)
  }

  @Test func `a line is one line of at most 2000 bytes`() {
    #expect(LogLimit.oneLine("as it is, ü") == "as it is, ü")
    #expect(LogLimit.oneLine("two\nlines\u{7F}") == "two lines ")
    #expect(LogLimit.oneLine(String(repeating: "a", count: 2000)).utf8.count == 2000)
    #expect(LogLimit.oneLine(String(repeating: "a", count: 70_000)) == String(repeating: "a", count: 2000) + "…")
  }
}

@Suite struct ReminderTests {
  @Test func `what goes on is logged at first, when it changes, and every ten minutes`() {
    var reminder = Reminder(every: .seconds(600))
    let start = Instant.now()
    func isDue(_ subject: String, after seconds: Int) -> Bool {
      reminder.isDue(subject, at: start.advanced(by: .seconds(seconds)))
    }
    #expect((0...599).filter { isDue("a", after: $0) } == [0])
    #expect(isDue("a", after: 600) && !isDue("a", after: 700))
    #expect(isDue("b", after: 701) && !isDue("b", after: 702))
    reminder.reset()
    #expect(isDue("b", after: 703))
  }
}
