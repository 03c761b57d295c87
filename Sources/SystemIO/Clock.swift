// The clock is `CLOCK_BOOTTIME`, which counts sleep, so a device that wakes up sees that it was away.

internal import CLinux
internal import Glibc

/// A point in time, in nanoseconds, on a clock that nobody sets and that has nothing to do with the time of day. It goes on
/// while the host sleeps (CLOCK_BOOTTIME), so that what is old after a sleep shows its age.
public struct Instant: Comparable, Sendable {
  public let nanoseconds: UInt64

  public init(nanoseconds: UInt64) {
    self.nanoseconds = nanoseconds
  }

  public static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
  }

  public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// The time from `earlier` to this, zero if it was not earlier; at most what 64 bits of nanoseconds hold.
  public func since(_ earlier: Instant) -> Duration {
    .nanoseconds(nanoseconds > earlier.nanoseconds ? Int64(clamping: nanoseconds - earlier.nanoseconds) : 0)
  }

  /// This much later; the same instant for a negative duration, and the end of time for one that goes past it.
  public func advanced(by duration: Duration) -> Instant {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(UInt64(max(0, duration.nanoseconds)))
    return Instant(nanoseconds: overflow ? .max : sum)
  }
}

extension Duration {
  /// Whole nanoseconds, clamped to what 64 bits hold (292 years).
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return isTooLarge || overflow ? (seconds < 0 ? .min : .max) : sum
  }

  /// Seconds, for rates and for people: the number next to the whole nanoseconds.
  public var seconds: Double { Double(nanoseconds) / 1e9 }
}

/// The time of day, in seconds since 1970; it jumps when somebody sets the clock.
public enum UnixTime {
  public static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec)
  }

  /// Whether a program keeps the clock right, as the kernel was told (adjtimex(2)); `nil` if that cannot be asked.
  public static var isKept: Bool? {
    let result = clinux_clock_is_kept()
    return result < 0 ? nil : result == 1
  }
}
