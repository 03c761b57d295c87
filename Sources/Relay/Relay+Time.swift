internal import Logging
internal import SystemIO

// What the relay knows of the time for which devices are away.

extension Relay {
  /// Looks at the clock now and then, from now on. On the first loop's thread, or before it runs.
  func watchClock(_ watch: ClockWatch = ClockWatch(UnixTime.now(), at: .now())) {
    loops[0].events.schedule(after: .seconds(2)) { [weak self] in
      guard let self else { return }
      var watch = watch
      if let jump = watch.jump(to: UnixTime.now(), at: .now()) {
        desk.leases.pause.clockWasSet()
        loops[0].logger.warning(
          """
          the clock was set \(abs(jump)) s \(jump > 0 ? "ahead" : "back"): sessions go on; invites end by the new time, and no lease \
          is reclaimed for a while
          """)
      }
      watchClock(watch)
    }
  }
}

extension RelayLoop {
  /// So many at a time are noted, and then others have their turn.
  private static let notedAtOnce = 256

  /// Notes now and then who is in, from now on, so that after a sudden end nobody counts as away who was not. On the loop's
  /// thread, or before it runs.
  func noteWhoIsIn(every interval: Duration) {
    events.schedule(after: interval) { [self] in note(Array(sessions.values)[...], interval) }
  }

  private func note(_ rest: ArraySlice<Session>, _ interval: Duration) {
    for session in rest.prefix(Self.notedAtOnce) {
      if case .joined(let applicant, _) = session.state { desk.noteSeen(applicant) }
    }
    let rest = rest.dropFirst(Self.notedAtOnce)
    guard !rest.isEmpty else { return noteWhoIsIn(every: interval) }
    events.schedule(after: .milliseconds(100)) { [self] in note(rest, interval) }
  }
}
