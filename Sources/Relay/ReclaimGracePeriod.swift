internal import Synchronization
internal import SystemIO

/// Until when the relay reclaims no unused lease, because it does not know for how long the device has been away: after
/// a start, devices are still reconnecting, and the time of day may be wrong now, or was wrong when a use was recorded.
/// The clocks are compared whenever a lease is about to be reclaimed. For any thread.
final class ReclaimGracePeriod: Sendable {
  private let age: Duration
  private let state: Mutex<State>

  private struct State {
    var end: Instant
    var watch: ClockWatch
    /// How far the clock was set, until `takeJump` reports it.
    var jump: Int64?
  }

  /// How long devices have after the clock was set: to be seen, or for a person to set it right.
  private static let afterJump = Duration.seconds(600)
  /// In seconds. If the clock is this far, or `age` if that is less, beyond the newest record at a start, it may be
  /// wrong.
  private static let longestAbsence: Int64 = 86_400

  /// `age` is how long a device must have been away; a pause is never longer. `returnTime`: how long devices have to come back
  /// after a start.
  init(
    age: Duration, returnTime: Duration, _ watch: ClockWatch = ClockWatch(UnixTime.now(), at: .now())
  ) {
    self.age = age
    state = Mutex(State(end: Instant.now().advanced(by: min(age, returnTime)), watch: watch))
  }

  /// Whether leases may be reclaimed now, at this time of day: not if the clock turns out to have been set.
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

  /// Compares the clock with the newest record from before this start, in Unix seconds. Returns how far the clock is
  /// beyond it if that is so far that the clock may be wrong: then the pause is as after a jump.
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
