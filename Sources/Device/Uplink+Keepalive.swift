internal import Link
internal import SystemIO
internal import Wire

// How the device finds out whether its connection to the relay is alive.
extension Uplink {
  /// How long the relay may be silent while an operator decides.
  private static let pendingSilence = Duration.seconds(60)
  /// How long an answer may take when there is reason to doubt that one will come.
  private static let probePatience = Duration.seconds(1)
  /// Times in proportion, in milliseconds, whatever a relay says.
  private static let keepaliveRange = 100...600_000
  private static let idleKeepaliveRange = 100...3_600_000

  /// Sets how often to ask for an echo, as the relay says; a further welcome may change it.
  func agree(on welcome: Welcome) {
    relayVersion = welcome.shownRelayVersion
    func duration(_ milliseconds: Int, _ range: ClosedRange<Int>) -> Duration {
      .milliseconds(min(max(milliseconds, range.lowerBound), range.upperBound))
    }
    terms = KeepaliveTerms(
      base: duration(welcome.keepalive, Self.keepaliveRange),
      idle: welcome.idleKeepalive.map { duration($0, Self.idleKeepaliveRange) })
  }

  /// Checks the connection at intervals from now on. They are short even on an idle one, to notice that this host has
  /// slept.
  func checkLater(_ generation: Int, after last: Instant = .now()) {
    events.schedule(after: terms.checkInterval) { [weak self] in
      guard let self, self.generation == generation, let connection = self.connection else { return }
      let now = Instant.now()
      do throws(FrameConnection.Lifelessness) {
        try connection.check(at: now, wasAway: self.terms.isAbsence(now.since(last)), self.terms)
        self.checkLater(generation, after: now)
      } catch {
        self.lose(.broken(error.text("the relay")))
      }
    }
  }

  /// Asks for an echo at once, and with little patience: there may be no path to the relay any more.
  func probe(_ connection: FrameConnection) {
    connection.probe(
      at: .now(), patience: max(min(terms.base / 2, Self.probePatience), (roundTrip ?? .zero) * 3))
  }

  func checkPending(_ generation: Int) {
    events.schedule(after: Self.pendingSilence / 3) { [weak self] in
      guard let self, self.generation == generation, case .pending(let connection) = self.phase else { return }
      let silence = Instant.now().since(connection.lastReceived)
      guard silence < Self.pendingSilence else {
        return self.lose(.broken(FrameConnection.Lifelessness.silent(silence).text("the relay")))
      }
      connection.sendPing()
      self.checkPending(generation)
    }
  }

  func learn(from pong: UnsafeRawBufferPointer) {
    let isFirst = roundTrip == nil
    roundTrip = PingFrame.roundTrip(pong)
    guard let roundTrip else { return }
    echoes.end(with: roundTrip, at: .now())
    if isFirst, connection != nil { delegate.uplinkReached(.echo(roundTrip)) }
  }
}
