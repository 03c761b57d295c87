internal import Logging
internal import Store
internal import SystemIO

// What the relay knows of the time for which devices are away.

extension Relay {
  /// Begins to look at the clock regularly, and logs a line when it was set. On the first loop's thread, or before it
  /// runs.
  func watchClock() {
    loops[0].events.schedule(after: .seconds(2)) { [weak self] in
      guard let self else { return }
      if let jump = admission.leases.pause.takeJump(at: .now(), UnixTime.now()) {
        loops[0].logger.warning(
          """
          the clock was set \(abs(jump)) s \(jump > 0 ? "ahead" : "back"): sessions go on; invites end by the new time, and no lease \
          is reclaimed for a while
          """)
      }
      watchClock()
    }
  }

  /// Compares the clock with the newest record before anything else is written. To be called before the relay serves.
  func doubtClock() {
    let (pause, logger) = (admission.leases.pause, loops[0].logger)
    settings.store.perform(
      { transaction throws(StoreError) in
        try transaction.newestUse().flatMap { pause.compare(with: $0, at: .now(), UnixTime.now()) }
      },
      then: { result in
        guard case .success(let gap?) = result else { return }
        logger.warning(
          """
          the clock is \(gap / 3600) hours ahead of the newest record in relay.db: unless the relay was off for so long, set the \
          clock right; no lease is reclaimed for a while
          """)
      })
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
      if case .joined(let applicant, _) = session.state { admission.noteSeen(applicant) }
    }
    let rest = rest.dropFirst(Self.notedAtOnce)
    guard !rest.isEmpty else { return noteWhoIsIn(every: interval) }
    events.schedule(after: .milliseconds(100)) { [self] in note(rest, interval) }
  }
}
