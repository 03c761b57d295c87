internal import Admission
internal import Logging
internal import Store
internal import SystemIO

// How the relay knows how long devices are away.

extension Relay {
  /// Checks the clock regularly from now on, and logs that it was set. On the first loop's thread, or before it runs.
  func watchClock() {
    loops[0].events.schedule(after: .seconds(2)) { [weak self] in
      guard let self else { return }
      if let jump = admission.gracePeriod.takeJump(at: .now(), UnixTime.now()) {
        loops[0].logger.warning(
          """
          the clock was set \(abs(jump)) s \(jump > 0 ? "ahead" : "back"): sessions go on; invites end by the new \
          time, and no lease is reclaimed for a while
          """)
      }
      watchClock()
    }
  }

  /// Compares the clock with the newest record. To be called before the relay serves. Waits for the store.
  func checkClock() {
    guard let newest = try? settings.store.readAndWait({ records throws(StoreError) in try records.newestUse() }),
      let gap = admission.gracePeriod.compare(with: newest, at: .now(), UnixTime.now())
    else { return }
    loops[0].logger.warning(
      """
      the clock is \(gap / 3600) hours ahead of the newest record in relay.db: unless the relay was off for so long, \
      set the clock right; no lease is reclaimed for a while
      """)
  }
}

extension RelayLoop {
  /// How many sessions are noted before the loop serves frames again.
  private static let notedAtOnce = 256

  /// Notes regularly which devices are connected, so that these do not count as away after a crash. On the loop's
  /// thread, or before it runs.
  func noteConnectedDevices(every interval: Duration) {
    events.schedule(after: interval) { [self] in note(Array(sessions.values)[...], interval) }
  }

  private func note(_ rest: ArraySlice<Session>, _ interval: Duration) {
    for session in rest.prefix(Self.notedAtOnce) {
      if case .joined(let request, _) = session.state { admission.noteSeen(request) }
    }
    let rest = rest.dropFirst(Self.notedAtOnce)
    guard !rest.isEmpty else { return noteConnectedDevices(every: interval) }
    events.schedule(after: .milliseconds(100)) { [self] in note(rest, interval) }
  }
}
