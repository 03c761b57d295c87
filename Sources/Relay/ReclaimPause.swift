internal import Synchronization
internal import SystemIO

/// Until when no lease is taken away for want of use, since it is not known for how long its device has been away: after a start,
/// devices are on their way back, and the time of day may be wrong, or have been wrong when a use was noted. Whoever is about to
/// take a lease away asks, and the clocks are compared then. For any thread.
final class ReclaimPause: Sendable {
  private let age: Duration
  private let state: Mutex<State>

  private struct State {
    var end: Instant
    var watch: ClockWatch
    /// How far the clock was set when that was noticed, until somebody is told.
    var jump: Int64?
  }

  /// How long devices have after the clock was set: to be seen, or for a person to set it right.
  private static let afterJump = Duration.seconds(600)
  /// A clock that is so far beyond the newest record at a start may be wrong, in seconds; or as far as the age, if that is less.
  private static let longestAbsence: Int64 = 86_400

  /// `age` is how long a device must have been away; a pause is never longer. `returnTime`: how long devices have to come back
  /// after a start.
  init(
    age: Duration, returnTime: Duration, _ watch: ClockWatch = ClockWatch(UnixTime.now(), at: .now())
  ) {
    self.age = age
    state = Mutex(State(end: Instant.now().advanced(by: min(age, returnTime)), watch: watch))
  }

  /// Whether leases may be taken away now, at this time of day: not if the clock turns out to have been set.
  func isOver(at now: Instant, _ time: Int64) -> Bool {
    state.withLock { state in
      look(&state, at: now, time)
      return now >= state.end
    }
  }

  /// How far the clock was set ahead since this was asked the last time, in seconds, or back if that is negative; `nil` if it was
  /// not.
  func takeJump(at now: Instant, _ time: Int64) -> Int64? {
    state.withLock { state in
      look(&state, at: now, time)
      return state.jump.take()
    }
  }

  /// Tells what was noted last before this start, in Unix seconds. Returns how far the clock is beyond it, if that is so far that
  /// it may be wrong: then the pause is as after a jump.
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
