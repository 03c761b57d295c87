import TestSupport
import Testing

@testable import SystemIO

@Suite struct TimerQueueTests {
  @Test func `timers of one deadline come in the order in which they were added`() {
    var queue = TimerQueue()
    var fired: [Int] = []
    for number in 0..<100 { _ = queue.add(at: Instant(nanoseconds: 7)) { fired.append(number) } }
    #expect(queue.popDue(until: Instant(nanoseconds: 6)) == nil)
    while let body = queue.popDue(until: Instant(nanoseconds: 7)) { body() }
    #expect(fired == Array(0..<100))
    #expect(queue.nextDeadline == nil)
  }

  @Test func `the next deadline is never that of a cancelled timer`() {
    var queue = TimerQueue()
    let first = queue.add(at: Instant(nanoseconds: 1)) {}
    let second = queue.add(at: Instant(nanoseconds: 2)) {}
    _ = queue.add(at: Instant(nanoseconds: 3)) {}
    #expect(queue.cancel(second) != nil)
    #expect(queue.cancel(first) != nil)
    #expect(queue.cancel(first) == nil)
    #expect(queue.nextDeadline == Instant(nanoseconds: 3))
  }

  /// The queue against a plain list, over ten thousand random steps.
  @Test func `any mix of adding, cancelling and firing keeps the order`() {
    var random = FixedRandom(seed: 7)
    var queue = TimerQueue()
    var fired: [Int] = []
    var expected: [Int] = []
    var waiting: [(deadline: UInt64, number: Int, timer: Timer)] = []
    var now: UInt64 = 0
    for number in 0..<10_000 {
      switch UInt64.random(in: 0..<10, using: &random) {
      case 0..<5:
        let deadline = now + UInt64.random(in: 0..<50, using: &random)
        let timer = queue.add(at: Instant(nanoseconds: deadline)) { fired.append(number) }
        waiting.append((deadline, number, timer))
      case 5..<9:
        guard let index = waiting.indices.randomElement(using: &random) else { continue }
        #expect(queue.cancel(waiting.remove(at: index).timer) != nil)
      default:
        now += UInt64.random(in: 0..<30, using: &random)
        while let body = queue.popDue(until: Instant(nanoseconds: now)) { body() }
        let due = waiting.filter { $0.deadline <= now }.sorted { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
        expected += due.map(\.number)
        waiting.removeAll { $0.deadline <= now }
      }
      #expect(queue.nextDeadline?.nanoseconds == waiting.map(\.deadline).min())
    }
    #expect(fired == expected)
    #expect(fired.count > 1000)
  }
}
