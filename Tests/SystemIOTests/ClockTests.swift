import SystemIO
import Testing

@Suite struct ClockTests {
  @Test func `a duration in nanoseconds is exact`() {
    #expect(Duration.seconds(3).nanoseconds == 3_000_000_000)
    #expect(Duration.microseconds(1).nanoseconds == 1000)
    #expect(Duration.milliseconds(-1500).nanoseconds == -1_500_000_000)
    #expect(Duration.zero.nanoseconds == 0)
  }

  @Test func `a duration beyond 64 bits of nanoseconds is clamped`() {
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.seconds(Int64.min).nanoseconds == .min)
    // The whole seconds still fit, the rest does not.
    let longest: Duration = .nanoseconds(Int64.max)
    let shortest: Duration = .nanoseconds(Int64.min)
    #expect(longest.nanoseconds == .max)
    #expect(shortest.nanoseconds == .min)
    #expect((longest + .milliseconds(100)).nanoseconds == .max)
    #expect((shortest - .milliseconds(100)).nanoseconds == .min)
  }

  @Test func `seconds keep the fraction`() {
    #expect(Duration.milliseconds(1250).seconds == 1.25)
    #expect(Duration.milliseconds(-250).seconds == -0.25)
    #expect(Duration.nanoseconds(194_019).seconds == 0.000_194_019)
  }

  @Test func `the clock goes forward`() {
    let first = Instant.now()
    let second = Instant.now()
    #expect(first <= second)
    #expect(first.nanoseconds > 0)
  }

  @Test func `the time since a later instant is zero`() {
    let early = Instant(nanoseconds: 5)
    let late = Instant(nanoseconds: 12)
    #expect(late.since(early) == .nanoseconds(7))
    #expect(early.since(late) == .zero)
    #expect(early.since(early) == .zero)
    let longest: Duration = .nanoseconds(Int64.max)
    #expect(Instant(nanoseconds: .max).since(Instant(nanoseconds: 0)) == longest)
  }

  @Test func `an instant moves forward only and stops at the end of time`() {
    let instant = Instant(nanoseconds: 100)
    #expect(instant.advanced(by: .nanoseconds(20)) == Instant(nanoseconds: 120))
    #expect(instant.advanced(by: .seconds(-20)) == instant)
    #expect(instant.advanced(by: .seconds(Int64.max)) == Instant(nanoseconds: 100 + UInt64(Int64.max)))
    #expect(Instant(nanoseconds: .max - 5).advanced(by: .nanoseconds(6)) == Instant(nanoseconds: .max))
  }
}
