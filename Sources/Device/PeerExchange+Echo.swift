internal import SystemIO
internal import Wire

/// What came of an echo to a peer.
public enum PingOutcome: Sendable, Equatable {
  case answered(Duration)
  /// Nothing came in time.
  case silent
  /// Nobody of this network has the address, or it is this device's own.
  case unknownPeer
  /// Nothing is exchanged with the peer, for this reason.
  case untrusted(String)
  /// There is no connection to the relay.
  case noRelay
  /// Too many wait for echoes already.
  case busy
}

/// Somebody who waits for an echo.
struct Ping {
  let address: IPv4Address
  let reply: (PingOutcome) -> Void
  /// `nil` while there is no session.
  var sentAt: Instant?
}

// Echoes are the proof that a peer is there: one when a session is new, and while packets go one now and then.

extension PeerExchange {
  private static let maximumPings = 1024
  private static let maximumEchoes = 8
  /// While packets go, an echo goes this often.
  private static let echoInterval = Duration.seconds(10)
  /// When a peer that has not answered counts as silent.
  private static let silence = Duration.seconds(5)

  func echoIfDue(to record: PeerRecord, at now: Instant) {
    if let last = record.lastEcho, now.since(last) < Self.echoInterval { return }
    echo(.random(in: Orchestration.revisions), to: record, at: now)
  }

  private func echo(_ number: Int, to record: PeerRecord, at now: Instant) {
    guard messenger?.send(PeerMessage.echo(number).encoded(), to: record.peer) == true else { return }
    counters.sent += 1
    record.lastEcho = now
    if record.echoes.count >= Self.maximumEchoes { record.echoes.removeFirst() }
    record.echoes.append((number, now))
    events.schedule(after: Self.silence) { [weak record] in
      guard let record, record.echoes.contains(where: { $0.number == number }) else { return }
      record.echoes.removeAll { $0.number == number }
      if record.lastProof.map({ $0 < now }) ?? true { record.isSilent = true }
    }
  }

  func isAnswered(_ number: Int, by record: PeerRecord, at now: Instant) {
    if let echo = record.echoes.first(where: { $0.number == number }) {
      record.roundTrip = now.since(echo.sentAt)
      record.echoes.removeAll { $0.number == number }
    }
    guard let ping = pings[number], ping.address == record.peer.address, let sentAt = ping.sentAt else { return }
    record.roundTrip = now.since(sentAt)
    pings[number] = nil
    ping.reply(.answered(now.since(sentAt)))
  }

  // MARK: Pings

  /// Sends an echo to whoever has `address`, and replies once, within `limit`.
  func ping(_ address: IPv4Address, within limit: Duration, _ reply: @escaping (PingOutcome) -> Void) {
    guard let messenger, messenger.isConnected else { return reply(.noRelay) }
    guard pings.count < Self.maximumPings else { return reply(.busy) }
    let peer = messenger.peers.peers[address]
    guard peer != nil || messenger.mayLocate(address) else { return reply(.unknownPeer) }
    let number = Int.random(in: Orchestration.revisions)
    pings[number] = Ping(address: address, reply: reply)
    events.schedule(after: limit) { [weak self] in
      guard let self else { return }
      self.end(number, .silent)
    }
    if let peer { proceed(number, to: peer) } else { messenger.locate(address) }
  }

  private func end(_ number: Int, _ outcome: PingOutcome) {
    pings.removeValue(forKey: number)?.reply(outcome)
  }

  private func proceed(_ number: Int, to peer: Peer) {
    guard let messenger, let record = listed(peer) else { return }
    if let objection = messenger.objection(to: peer) { return end(number, .untrusted(objection)) }
    if messenger.openSession(with: peer) { echo(pending: number, to: record, at: .now()) }
  }

  private func echo(pending number: Int, to record: PeerRecord, at now: Instant) {
    pings[number]?.sentAt = now
    echo(number, to: record, at: now)
  }

  /// There is a session for the echoes that have waited for one.
  func echoAll(to record: PeerRecord, at now: Instant) {
    for (number, ping) in pings where ping.address == record.peer.address && ping.sentAt == nil {
      echo(pending: number, to: record, at: now)
    }
  }

  func endPings(_ outcome: PingOutcome) {
    for number in pings.keys { end(number, outcome) }
  }

  func endPings(to address: IPv4Address, _ outcome: PingOutcome) {
    for (number, ping) in pings where ping.address == address { end(number, outcome) }
  }

  /// The relay has told who has an address.
  func isLocated(_ peer: Peer) {
    for (number, ping) in pings where ping.address == peer.address && ping.sentAt == nil { proceed(number, to: peer) }
    if fetches.values.contains(where: { $0.missing.contains(peer.address) }) { demand(peer) }
  }

  /// Nobody has this address, or not any more.
  func isGone(_ address: IPv4Address) {
    endPings(to: address, .unknownPeer)
    isDone(address)
  }

  /// Who has this address does not answer.
  func isMute(_ address: IPv4Address) {
    endPings(to: address, .silent)
  }
}
