import SystemIO
import Testing

@testable import Device

@Suite struct BackoffTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  /// The waits of an outage, and when each begins.
  private func waits(for time: Duration) -> [(at: Duration, wait: Duration)] {
    var backoff = Backoff()
    var passed = Duration.zero
    var waits: [(at: Duration, wait: Duration)] = []
    while passed < time {
      let wait = backoff.wait(at: start.advanced(by: passed))
      waits.append((passed, wait))
      passed += wait
    }
    return waits
  }

  @Test func `waits double from 100 ms, and none is longer than 1.5 s in the first minute`() {
    let waits = waits(for: .seconds(60))
    for (index, longest) in [100, 200, 400, 800, 1500, 1500, 1500].enumerated() {
      let limit = Duration.milliseconds(longest)
      #expect(waits[index].wait <= limit && waits[index].wait >= limit / 2)
    }
    #expect(waits.allSatisfy { $0.wait <= .milliseconds(1500) })
  }

  @Test func `later waits grow to 30 s`() {
    let late = waits(for: .seconds(900)).drop { $0.at < .seconds(60) }.map(\.wait)
    #expect(late.prefix(1).allSatisfy { $0 <= .seconds(3) })
    #expect(late.allSatisfy { $0 <= .seconds(30) })
    #expect(late.dropFirst(5).allSatisfy { $0 >= .seconds(15) })
  }

  @Test func `a device that was in only briefly waits no longer than in a young outage, but begins no lower`() {
    var backoff = Backoff()
    for second in 0..<200 { _ = backoff.wait(at: start.advanced(by: .seconds(second))) }
    backoff.endOutage()
    for second in 200..<260 {
      let wait = backoff.wait(at: start.advanced(by: .seconds(second)))
      #expect((.milliseconds(750)...(.milliseconds(1500))).contains(wait))
    }
    #expect(backoff.wait(at: start.advanced(by: .seconds(261))) > .milliseconds(1500))
  }

  @Test func `after a long time in, waits begin anew`() {
    var backoff = Backoff()
    for second in 0..<100 { _ = backoff.wait(at: start.advanced(by: .seconds(second))) }
    backoff.reset()
    #expect(backoff.wait(at: start.advanced(by: .seconds(200))) <= .milliseconds(100))
  }

  @Test func `a relay's hint is spread over its second half, and never taken to extremes`() {
    let waits = (0..<1000).map { _ in Backoff.wait(asked: .seconds(10)) }
    #expect(waits.allSatisfy { (.seconds(5)...(.seconds(10))).contains($0) })
    // Every tenth of the time gets its share.
    for tenth in 0..<10 {
      let from = Duration.milliseconds(5000 + 500 * tenth)
      #expect((50...160).contains(waits.count { $0 >= from && $0 < from + .milliseconds(500) }))
    }
    #expect(Backoff.wait(asked: .zero) >= .milliseconds(50))
    #expect(Backoff.wait(asked: .seconds(86_400)) <= .seconds(300))
  }
}
