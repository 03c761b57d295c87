import SystemIO
import Testing

@testable import Relay

@Suite struct ClockWatchTests {
  private let boot = Instant(nanoseconds: 5_000_000_000)

  @Test(arguments: [0, 29, -29, 30, -30, 86_400 * 3650, -86_400] as [Int64])
  func `a clock that is set is noticed once, and one that is only kept right is not`(_ jump: Int64) {
    var watch = ClockWatch(1000, at: boot)
    #expect(watch.jump(to: 1002, at: boot.advanced(by: .seconds(2))) == nil)
    let noticed = watch.jump(to: 1004 + jump, at: boot.advanced(by: .seconds(4)))
    #expect(noticed == (abs(jump) >= 30 ? jump : nil))
    #expect(watch.jump(to: 1006 + jump, at: boot.advanced(by: .seconds(6))) == nil)
  }

  @Test func `a sleep of the host is no jump`() {
    var watch = ClockWatch(1000, at: boot)
    #expect(watch.jump(to: 4600, at: boot.advanced(by: .seconds(3600))) == nil)
  }
}

@Suite struct ReclaimGracePeriodTests {
  private let start = Instant.now()
  private let time = UnixTime.now()
  private static let day: Int64 = 86_400

  private func pause(age: Duration = .seconds(30 * day), returnTime: Duration = .seconds(60)) -> ReclaimGracePeriod {
    ReclaimGracePeriod(age: age, returnTime: returnTime, ClockWatch(time, at: start))
  }

  private func isOver(_ pause: ReclaimGracePeriod, after seconds: Int64, clockSet jump: Int64 = 0) -> Bool {
    pause.isOver(at: start.advanced(by: .seconds(seconds)), time + seconds + jump)
  }

  @Test func `nothing is reclaimed just after a start`() {
    let pause = pause()
    #expect(!isOver(pause, after: 30) && isOver(pause, after: 61))
  }

  @Test(arguments: [60 * day, -60 * day, 30])
  func `who asks right after the clock was set is told to wait, without anybody having looked before`(_ jump: Int64) {
    let pause = pause()
    #expect(isOver(pause, after: 100))
    #expect(!isOver(pause, after: 101, clockSet: jump))
    #expect(!isOver(pause, after: 700, clockSet: jump) && isOver(pause, after: 702, clockSet: jump))
    #expect(!isOver(pause, after: 703), "it was set back")
  }

  @Test func `a jump is told once, whoever has noticed it`() {
    let pause = pause()
    _ = isOver(pause, after: 100, clockSet: 3600)
    let later = start.advanced(by: .seconds(102))
    #expect(pause.takeJump(at: later, time + 102 + 3600) == 3600)
    #expect(pause.takeJump(at: later, time + 102 + 3600) == nil)
    #expect(pause.takeJump(at: later, time + 102) == -3600)
  }

  @Test func `a relay that starts with a clock far beyond its newest record waits as after a jump`() {
    let pause = pause()
    #expect(pause.compare(with: time - 60 * Self.day, at: start, time) == 60 * Self.day)
    #expect(!isOver(pause, after: 599) && isOver(pause, after: 601))
    let usual = self.pause()
    for newest in [time, time - 3600, time - Self.day + 1, time + Self.day] {
      #expect(usual.compare(with: newest, at: start, time) == nil)
    }
    #expect(isOver(usual, after: 61))
    let short = self.pause(age: .seconds(120))
    #expect(short.compare(with: time - 200, at: start, time) == 200)
    #expect(!isOver(short, after: 119) && isOver(short, after: 121), "no longer than a device must have been away")
  }

  @Test func `a pause is no longer than a device must have been away`() {
    let pause = pause(age: .zero)
    #expect(isOver(pause, after: 1) && isOver(pause, after: 2, clockSet: Self.day))
  }
}
