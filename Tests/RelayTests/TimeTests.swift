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

@Suite struct ReclaimPauseTests {
  @Test func `nothing is reclaimed just after a start, nor after the clock was set`() {
    let pause = ReclaimPause(age: .seconds(86_400), returnTime: .seconds(60))
    #expect(!pause.isOver(at: .now()))
    #expect(pause.isOver(at: Instant.now().advanced(by: .seconds(61))))
    pause.clockWasSet()
    #expect(!pause.isOver(at: Instant.now().advanced(by: .seconds(500))))
    #expect(pause.isOver(at: Instant.now().advanced(by: .seconds(601))))
  }

  @Test func `a pause is no longer than a device must have been away`() {
    let pause = ReclaimPause(age: .zero, returnTime: .seconds(60))
    #expect(pause.isOver(at: .now()))
    pause.clockWasSet()
    #expect(pause.isOver(at: .now()))
  }
}
