internal import Synchronization
internal import SystemIO

/// Until when no lease is taken away for want of use, since it is not known for how long its device has been away: after a start,
/// devices are on their way back, and the time of day may have been wrong when it was noted. For any thread.
final class ReclaimPause: Sendable {
  private let age: Duration
  private let end: Mutex<Instant>

  /// How long devices have after the clock was set: to be seen, or for a person to set it right.
  private static let afterJump = Duration.seconds(600)

  /// `age` is how long a device must have been away; a pause is never longer. `returnTime`: how long devices have to come back
  /// after a start.
  init(age: Duration, returnTime: Duration) {
    self.age = age
    end = Mutex(Instant.now().advanced(by: min(age, returnTime)))
  }

  /// Somebody has set the clock.
  func clockWasSet() {
    end.withLock { $0 = Instant.now().advanced(by: min(age, Self.afterJump)) }
  }

  func isOver(at now: Instant) -> Bool { end.withLock { now >= $0 } }
}

/// Notices that somebody has set the clock, by one that nobody sets.
struct ClockWatch {
  /// The time of day minus the time since the boot, in seconds.
  private var difference: Int64

  /// Clocks that are only kept right do not jump so far, in seconds.
  private static let smallest: Int64 = 30

  init(_ time: Int64, at now: Instant) {
    difference = time - Self.seconds(now)
  }

  /// How far the clock was set ahead since the last time, in seconds, or back if that is negative; `nil` if it was not.
  mutating func jump(to time: Int64, at now: Instant) -> Int64? {
    let former = difference
    difference = time - Self.seconds(now)
    return abs(difference - former) >= Self.smallest ? difference - former : nil
  }

  private static func seconds(_ now: Instant) -> Int64 { Int64(now.nanoseconds / 1_000_000_000) }
}
