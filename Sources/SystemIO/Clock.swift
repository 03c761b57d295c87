// The clock is `CLOCK_BOOTTIME`, which counts sleep, so a device that wakes up sees that it was away.

internal import CLinux
internal import Glibc

/// A point in time, in nanoseconds, on a clock that nobody sets and that is not the time of day. The clock counts the
/// time while the host sleeps (CLOCK_BOOTTIME), so that data that is old after a sleep shows its age.
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

  /// The time since `earlier`, zero if that is later; at most what 64 bits of nanoseconds hold.
  public func since(_ earlier: Instant) -> Duration {
    .nanoseconds(nanoseconds > earlier.nanoseconds ? Int64(clamping: nanoseconds - earlier.nanoseconds) : 0)
  }

  /// This much later; the same instant for a negative duration, and the latest one for a duration that is too long.
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

  /// Seconds, for rates and for people.
  public var seconds: Double { Double(nanoseconds) / 1e9 }
}

/// Blocks the calling thread, which is never a loop's.
public func sleep(for time: Duration) {
  var left = timespec(tv_sec: Int(time.nanoseconds / 1_000_000_000), tv_nsec: Int(time.nanoseconds % 1_000_000_000))
  var rest = timespec()
  while nanosleep(&left, &rest) < 0, errno == EINTR { left = rest }
}

/// The time of day, in seconds since 1970; it jumps when somebody sets the clock.
public enum UnixTime {
  public static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec)
  }

  /// Whether a program synchronizes the clock, as the kernel was told (adjtimex(2)); `nil` if the kernel does not tell.
  public static var isKept: Bool? {
    let result = clinux_clock_is_kept()
    return result < 0 ? nil : result == 1
  }
}

/// The local time of day, `2026-11-23 14:03:07.512`.
public func localTime() -> String {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  var parts = tm()
  localtime_r(&now.tv_sec, &parts)
  func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
  return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
    + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)"
}
