internal import SystemIO
internal import Wire

/// The outcome of an echo to a peer.
public enum PingOutcome: Sendable, Equatable {
  case answered(Duration)
  /// No answer came in time.
  case silent
  /// No device of this network has the address, or it is this device's own.
  case unknownPeer
  /// Nothing is exchanged with the peer, for this reason.
  case untrusted(String)
  /// There is no connection to the relay.
  case noRelay
  /// Too many echoes are under way.
  case busy
}

/// A request for an echo, from `ping`.
struct Ping {
  let address: IPv4Address
  let reply: (PingOutcome) -> Void
  /// `nil` while there is no session.
  var sentAt: Instant?
}

/// A request for what peers tell of themselves, from `fetch`.
struct Fetch {
  /// Peers that have not answered yet.
  var missing: Set<IPv4Address>
  let reply: () -> Void
}

// Echoes prove that a peer is reachable: one when a session is new, and more while packets are exchanged.
extension PeerExchange {
  private static let maximumPings = 1024
  private static let maximumEchoes = 8
  /// The interval of echoes while packets are exchanged.
  private static let echoInterval = Duration.seconds(10)
  /// A peer that has not answered for this long counts as silent.
  private static let silence = Duration.seconds(5)

  func echoIfDue(to record: PeerRecord, at now: Instant) {
    if let last = record.lastEcho, now.since(last) < Self.echoInterval { return }
    echo(.random(in: Orchestration.revisions), to: record, at: now)
  }

  private func echo(_ number: Int, to record: PeerRecord, at now: Instant) {
    guard send(.echo(number), to: record) else { return }
    record.lastEcho = now
    if record.echoes.count >= Self.maximumEchoes { record.echoes.removeFirst() }
    record.echoes.append((number, now))
    events.schedule(after: Self.silence) { [weak record] in
      guard let record, record.echoes.contains(where: { $0.number == number }) else { return }
      record.echoes.removeAll { $0.number == number }
      if record.path.lastProof.map({ $0 < now }) ?? true { record.path.isSilent = true }
    }
  }

  func isAnswered(_ number: Int, by record: PeerRecord, at now: Instant) {
    if let echo = record.echoes.first(where: { $0.number == number }) {
      record.path.roundTrip = now.since(echo.sentAt)
      record.echoes.removeAll { $0.number == number }
    }
    guard let ping = pings[number], ping.address == record.peer.address, let sentAt = ping.sentAt else { return }
    record.path.roundTrip = now.since(sentAt)
    end(number, .answered(now.since(sentAt)))
  }

  // MARK: Pings

  /// Sends an echo to the peer at `address`, and replies once, within `limit`.
  func ping(_ address: IPv4Address, within limit: Duration, _ reply: @escaping (PingOutcome) -> Void) {
    guard messenger.isConnected || isDirect(address) else { return reply(.noRelay) }
    guard pings.count < Self.maximumPings else { return reply(.busy) }
    let state = neighbourhood.listed(address)
    guard state != nil || neighbourhood.mayLocate(address) else { return reply(.unknownPeer) }
    let number = Int.random(in: Orchestration.revisions)
    pings[number] = Ping(address: address, reply: reply)
    events.schedule(after: limit) { [weak self] in
      guard let self else { return }
      self.end(number, .silent)
    }
    if let state { proceed(number, to: state) } else { neighbourhood.ask(for: address) }
  }

  /// Whether there is a path to the peer at this address without the relay.
  private func isDirect(_ address: IPv4Address) -> Bool { neighbourhood.listed(address)?.path.isDirect == true }

  private func end(_ number: Int, _ outcome: PingOutcome) {
    pings.removeValue(forKey: number)?.reply(outcome)
  }

  private func proceed(_ number: Int, to state: PeerState) {
    guard let record = listedRecord(of: state) else { return }
    if let objection = messenger.objection(to: state.peer) { return end(number, .untrusted(objection)) }
    guard messenger.openSession(with: state) else { return }
    let now = Instant.now()
    pings[number]?.sentAt = now
    echo(number, to: record, at: now)
  }

  /// The relay lists the peer now, or there is a session: pings that have waited go on.
  func proceed(to state: PeerState) {
    for (number, ping) in pings where ping.address == state.address && ping.sentAt == nil { proceed(number, to: state) }
  }

  /// Ends the pings to one address.
  func endPings(to address: IPv4Address, _ outcome: PingOutcome) {
    for (number, ping) in pings where ping.address == address { end(number, outcome) }
  }

  /// Ends the pings that need the relay, to which there is no connection.
  func endRelayedPings() {
    for (number, ping) in pings where !isDirect(ping.address) { end(number, .noRelay) }
  }

  // MARK: Fetches

  private static let maximumFetches = 64

  /// Asks the peers at these addresses (as many as the cache keeps) for what they tell of themselves, and replies once
  /// all have answered or failed, or after `limit`. Replies at once if too many fetches are under way.
  func fetch(_ addresses: [IPv4Address], within limit: Duration, _ reply: @escaping () -> Void) {
    guard messenger.isConnected, fetches.count < Self.maximumFetches else { return reply() }
    let asked = Set(addresses.prefix(cache.limit)).filter {
      neighbourhood.listed($0) != nil || neighbourhood.mayLocate($0)
    }
    guard !asked.isEmpty else { return reply() }
    lastFetch += 1
    let number = lastFetch
    fetches[number] = Fetch(missing: asked, reply: reply)
    events.schedule(after: limit) { [weak self] in
      self?.fetches.removeValue(forKey: number)?.reply()
    }
    for address in asked {
      if let state = neighbourhood.listed(address) { demand(state) } else { neighbourhood.ask(for: address) }
    }
    startNext()
  }

  /// Asks the peer before others, because a fetch waits for it.
  private func demand(_ state: PeerState) {
    guard let record = listedRecord(of: state) else { return }
    record.mustAsk = true
    record.isNeeded = true
    enqueue(record, isUrgent: true)
  }

  /// The peer at this address has answered, or will not.
  func isDone(_ address: IPv4Address) {
    for (number, fetch) in fetches where fetch.missing.contains(address) {
      fetches[number]?.missing.remove(address)
      if fetch.missing.count == 1 { fetches.removeValue(forKey: number)?.reply() }
    }
  }

  // MARK: The relay's answers

  /// The relay lists the peer now.
  func isLocated(_ state: PeerState) {
    proceed(to: state)
    if fetches.values.contains(where: { $0.missing.contains(state.address) }) { demand(state) }
  }

  /// No device has this address, or not any more.
  func isGone(_ address: IPv4Address) {
    endPings(to: address, .unknownPeer)
    isDone(address)
  }
}
