internal import Link
internal import SystemIO
internal import Wire

// How the device finds out whether its connection to the relay works.
extension Uplink {
  /// How long the relay may be silent while this device waits for an operator.
  private static let pendingSilence = Duration.seconds(60)
  /// How long the answer to a probe may take.
  private static let probePatience = Duration.seconds(1)
  /// Accepted times in milliseconds, whatever a relay says.
  private static let keepaliveRange = 100...600_000
  private static let idleKeepaliveRange = 100...3_600_000

  /// Sets the keepalive intervals that the relay asks for; a further welcome may change them.
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
  func checkLater(after last: Instant = .now()) {
    schedule(after: terms.checkInterval) { uplink in
      guard let connection = uplink.connection else { return }
      let now = Instant.now()
      do throws(FrameConnection.Lifelessness) {
        try connection.check(at: now, wasAway: uplink.terms.isAbsence(now.since(last)), uplink.terms)
        uplink.checkLater(after: now)
      } catch {
        uplink.lose(.broken(error.text("the relay")))
      }
    }
  }

  /// Sends an echo at once, with a short timeout: there may be no path to the relay any more.
  func probe(_ connection: FrameConnection) {
    connection.probe(
      at: .now(), patience: max(min(terms.base / 2, Self.probePatience), (roundTrip ?? .zero) * 3))
  }

  func checkPending() {
    schedule(after: Self.pendingSilence / 3) { uplink in
      guard case .pending(let connection) = uplink.phase else { return }
      let silence = Instant.now().since(connection.lastReceived)
      guard silence < Self.pendingSilence else {
        return uplink.lose(.broken(FrameConnection.Lifelessness.silent(silence).text("the relay")))
      }
      connection.sendPing()
      uplink.checkPending()
    }
  }

  func learn(from pong: UnsafeRawBufferPointer) {
    let isFirst = roundTrip == nil
    roundTrip = PingFrame.roundTrip(pong)
    guard let roundTrip else { return }
    echoes.end(with: roundTrip, at: .now())
    if isFirst, connection != nil { device.uplinkReached(.echo(roundTrip)) }
  }

  /// Sends an echo to the relay, and replies once, within `limit`; `nil`: no answer came, or none could be asked for.
  func ping(within limit: Duration, _ reply: @escaping (Duration?) -> Void) {
    guard let connection, let number = echoes.begin(at: .now(), reply) else { return reply(nil) }
    connection.sendPing()
    events.schedule(after: limit) { [weak self] in self?.echoes.giveUp(number) }
  }
}

/// Pings that wait for an echo from the relay. Owned by the device's thread.
struct RelayEchoes {
  private var waiting: [(number: Int, since: Instant, reply: (Duration?) -> Void)] = []
  private var last = 0

  private static let maximum = 64

  /// The number of a new ping; `nil` if too many wait.
  mutating func begin(at now: Instant, _ reply: @escaping (Duration?) -> Void) -> Int? {
    guard waiting.count < Self.maximum else { return nil }
    last += 1
    waiting.append((last, now, reply))
    return last
  }

  /// An echo has come that took `roundTrip`. It answers all pings from before it was sent.
  mutating func end(with roundTrip: Duration, at now: Instant) {
    let done = waiting.filter { now.since($0.since) >= roundTrip }
    waiting.removeAll { now.since($0.since) >= roundTrip }
    for each in done { each.reply(roundTrip) }
  }

  /// The ping's time is over.
  mutating func giveUp(_ number: Int) {
    guard let index = waiting.firstIndex(where: { $0.number == number }) else { return }
    waiting.remove(at: index).reply(nil)
  }

  /// There is no connection any more.
  mutating func giveUp() {
    let all = waiting
    waiting = []
    for each in all { each.reply(nil) }
  }
}
