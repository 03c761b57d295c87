internal import Synchronization
internal import SystemIO

/// The time in which the relay reclaims no unused lease, because it does not know how long the device has been away:
/// after a start, devices are still reconnecting; after a clock was set, recorded times may be wrong. For any thread.
final class ReclaimGracePeriod: Sendable {
  private let age: Duration
  private let state: Mutex<State>

  private struct State {
    var end: Instant
    var watch: ClockWatch
    /// How far the clock was set, until `takeJump` reports it.
    var jump: Int64?
  }

  /// The grace period after the clock was set: devices connect meanwhile, or somebody sets it right.
  private static let afterJump = Duration.seconds(600)
  /// Seconds. At a start, a clock that is this far beyond the newest record, or `age` if that is less, may be wrong.
  private static let longestAbsence: Int64 = 86_400

  /// `age` is how long a device must have been away; the grace period is never longer. `returnTime`: the grace period
  /// after a start.
  init(
    age: Duration, returnTime: Duration, _ watch: ClockWatch = ClockWatch(UnixTime.now(), at: .now())
  ) {
    self.age = age
    state = Mutex(State(end: Instant.now().advanced(by: min(age, returnTime)), watch: watch))
  }

  /// Whether leases may be reclaimed at this time of day: not if the clock turns out to have been set.
  func isOver(at now: Instant, _ time: Int64) -> Bool {
    state.withLock { state in
      look(&state, at: now, time)
      return now >= state.end
    }
  }

  /// How far the clock was set ahead since the last call, in seconds, or back if that is negative; `nil` if it was not
  /// set.
  func takeJump(at now: Instant, _ time: Int64) -> Int64? {
    state.withLock { state in
      look(&state, at: now, time)
      return state.jump.take()
    }
  }

  /// Compares the clock with the newest record from before this start, in Unix seconds. Returns the difference if the
  /// clock may be wrong: then the grace period is that of a set clock.
  func compare(with newest: Int64, at now: Instant, _ time: Int64) -> Int64? {
    let gap = time - newest
    guard gap >= max(1, min(Self.longestAbsence, age.components.seconds)) else { return nil }
    state.withLock { extend(&$0, from: now) }
    return gap
  }

  private func look(_ state: inout State, at now: Instant, _ time: Int64) {
    guard let jump = state.watch.jump(to: time, at: now) else { return }
    state.jump = (state.jump ?? 0) + jump
    extend(&state, from: now)
  }

  private func extend(_ state: inout State, from now: Instant) {
    state.end = max(state.end, now.advanced(by: min(age, Self.afterJump)))
  }
}

/// Notices that the clock was set, by comparison with the time since the boot.
struct ClockWatch {
  /// The time of day minus the time since the boot, in seconds.
  private var difference: Int64

  /// Seconds. Time synchronization jumps less.
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
