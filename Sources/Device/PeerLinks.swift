// The journey of a session between two devices:
//
//   a packet for a peer without one  → it waits in the link, `begin` sends an initiation by way of the relay
//   an initiation comes              → `answer`: checked against the key that the relay vouches for, a response goes back
//   the response comes               → `finish`: the session is there, and what waits is sealed and sent
//   the first sealed frame comes     → the responder knows that the initiator has the session too, and uses it
//
// If both begin at once, the initiation of the device with the lower key counts, and the other one answers it.

internal import Link
internal import Noise
internal import SystemIO
internal import Wire

/// Who uses the links. Called on the device's thread.
protocol PeerLinksDelegate: AnyObject {
  func send(handshake frame: [UInt8])
  /// A session is there; what waits in the link can go, or an empty frame must, if `isInitiator`.
  func linkIsReady(_ link: PeerLink, isInitiator: Bool)
  /// The peer does not answer; what waits in the link is of no use any more.
  func linkHasFailed(_ link: PeerLink)
  /// The peer has sent a message, which lies in the receive buffer.
  func linkHasReceived(_ message: UnsafeRawBufferPointer, on link: PeerLink)
  /// Packets have gone or come since this was told the last time, or since the session began.
  func linkIsInUse(_ link: PeerLink)
  /// Something that a person should know of, as a line.
  func linkIsSuspicious(_ line: String)
}

/// The links to all peers that this device has exchanged packets with lately. Owned by the device's thread.
final class PeerLinks {
  // Set once.
  private let events: EventLoop
  unowned var delegate: any PeerLinksDelegate

  private var settings: PeerSettings
  private var publicKey: PublicKey
  /// Sessions outlive a change of this device's address, which a relay's new word can bring; handshakes go by the new one.
  var own: PeerName
  private(set) var links: [IPv4Address: PeerLink] = [:]
  /// Initiations from addresses that the relay has not told of yet, but may be about to.
  private var early: [IPv4Address: (payload: [UInt8], at: Instant)] = [:]
  private var initiations = RateLimit(perSecond: 500, burst: 1000)
  private var warnings = RateLimit(perSecond: 1, burst: 10)
  private var isChecking = false
  private var lastCheck = Instant.now()
  private(set) var counters = PeerLinkCounters()

  /// How long to wait for a response before the first initiation is sent anew; doubled each time up to the last.
  private static let firstWait = Duration.milliseconds(200)
  private static let lastWait = Duration.seconds(5)
  /// A peer that has not answered by then is not there.
  private static let patience = Duration.seconds(30)
  /// How long the peer has to use a session that it began.
  private static let confirmation = Duration.seconds(2)
  /// How long the sessions of a peer that is not listed are kept.
  private static let absence = Duration.seconds(30)
  private static let maximumEarly = 64
  private static let earlyAge = Duration.seconds(2)

  /// `own` is this device as its peers know it.
  init(_ settings: PeerSettings, own: PeerName, on events: EventLoop, delegate: any PeerLinksDelegate) {
    self.settings = settings
    self.own = own
    publicKey = settings.key.publicKey
    self.events = events
    self.delegate = delegate
  }

  /// The link to a peer, made if there is none; `nil` if the peer is not to be trusted, or shares no cipher.
  func link(to peer: Peer) -> PeerLink? {
    if let link = links[peer.address] { return link }
    guard let problem = objection(to: peer) else {
      let link = PeerLink(peer)
      links[peer.address] = link
      checkLater()
      return link
    }
    counters.refused += 1
    warn(problem)
    return nil
  }

  /// Why nothing is exchanged with the peer, if that is so.
  func objection(to peer: Peer) -> String? {
    if let pinned = settings.pinnedKeys[peer.deviceID], pinned != peer.key {
      return "the relay vouches for another key of \(peer.deviceID) than the one that peer-keys pins; "
        + "nothing is sent to it, and nothing taken from it"
    }
    guard settings.ciphers.common(with: peer.ciphers) != nil else {
      return "\(peer.deviceID) has no cipher in common with this device; see `cipher` in both configurations"
    }
    return nil
  }

  /// Whether this device's initiation is the one that counts if the peer begins at the same time.
  func goesFirst(before peer: Peer) -> Bool { publicKey.bytes.lexicographicallyPrecedes(peer.key.bytes) }

  /// The relay has said who is there: links to others rest for a while, since a peer that connects anew is gone for a moment,
  /// and who began too early is answered.
  func update(_ table: PeerTable) {
    let now = Instant.now()
    for (address, link) in links {
      switch table.peers[address] {
      case link.peer where link.absentSince.map({ now.since($0) < Self.absence }) ?? true:
        link.absentSince = nil
        // It was gone for a moment, and with it the attempt.
        if !link.pending.isEmpty, link.next == nil { begin(link) }
      case nil:
        link.absentSince = link.absentSince ?? now
        cancelAttempt(of: link)
      default: forget(link)
      }
    }
    for (address, initiation) in early {
      guard let peer = table.peers[address] else {
        if now.since(initiation.at) >= Self.earlyAge { early[address] = nil }
        continue
      }
      early[address] = nil
      initiation.payload.withUnsafeBytes { receive(handshake: $0, from: address, peer) }
    }
  }

  /// The peer was sent away for good: what was agreed on with it is forgotten at once.
  func drop(_ address: IPv4Address) {
    if let link = links[address] { forget(link) }
  }

  /// This device has another key: all links end.
  func replaceKey(with key: PrivateKey) {
    settings.key = key
    publicKey = key.publicKey
    for link in links.values { forget(link) }
  }

  /// Other keys are pinned: links to peers that have others end.
  func pin(_ keys: [String: PublicKey]) {
    settings.pinnedKeys = keys
    for link in links.values where objection(to: link.peer) != nil { forget(link) }
  }

  private func forget(_ link: PeerLink) {
    cancelAttempt(of: link)
    links[link.peer.address] = nil
  }

  // MARK: Handshakes

  /// Begins a handshake unless one is on its way.
  func begin(_ link: PeerLink) {
    guard link.attempt == nil else { return }
    initiate(link, since: .now(), wait: Self.firstWait)
  }

  private func initiate(_ link: PeerLink, since: Instant, wait: Duration) {
    guard let suite = settings.ciphers.common(with: link.peer.ciphers) else { return }
    let header = PeerHandshakeHeader(step: .initiation, cipher: suite, session: .random(in: 0 ... .max))
    var handshake = Handshake(
      .ik, cipher: suite, role: .initiator, prologue: header.prologue(from: own, to: PeerName(link.peer)),
      key: settings.key, remoteKey: link.peer.key)
    guard let message = try? handshake.write() else {
      counters.refused += 1
      return warn("the relay gives a key of \(link.peer.deviceID) that is none; nothing is sent to it")
    }
    let timer = events.schedule(after: wait) { [weak self, weak link] in
      guard let self, let link else { return }
      self.retry(link)
    }
    link.attempt = PeerLink.Attempt(
      handshake: handshake, number: header.session, suite: suite, since: since, wait: wait, timer: timer)
    counters.initiations += 1
    delegate.send(handshake: Self.frame(header, message, to: link.peer.address))
  }

  private func retry(_ link: PeerLink) {
    guard let attempt = link.attempt else { return }
    link.attempt = nil
    guard Instant.now().since(attempt.since) < Self.patience else { return delegate.linkHasFailed(link) }
    initiate(link, since: attempt.since, wait: min(attempt.wait * 2, Self.lastWait))
  }

  private func cancelAttempt(of link: PeerLink) {
    guard let attempt = link.attempt else { return }
    events.cancel(attempt.timer)
    link.attempt = nil
  }

  /// Takes a peer-handshake frame's payload; `peer` is who has the address that it comes from, as far as is known.
  func receive(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address, _ peer: Peer?) {
    guard let header = PeerHandshakeHeader(parsing: payload.bytes) else {
      counters.forged += 1
      return
    }
    let message = UnsafeRawBufferPointer(rebasing: payload[PeerHandshakeHeader.size...])
    switch header.step {
    case .initiation:
      guard let peer else { return keepEarly(payload, from: source) }
      guard let link = link(to: peer) else { return }
      answer(header, message, link)
    case .response:
      guard let link = links[source] else { return }
      finish(header, message, link)
    }
  }

  private func keepEarly(_ payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    let now = Instant.now()
    if early.count >= Self.maximumEarly {
      early = early.filter { now.since($0.value.at) < Self.earlyAge }
    }
    guard early.count < Self.maximumEarly || early[source] != nil else { return }
    early[source] = (Array(payload), now)
  }

  private func answer(_ header: PeerHandshakeHeader, _ message: UnsafeRawBufferPointer, _ link: PeerLink) {
    let now = Instant.now()
    guard link.initiations.allow(at: now), initiations.allow(at: now) else {
      counters.limited += 1
      return
    }
    // Of two that began at once, one has to give way.
    if link.attempt != nil, goesFirst(before: link.peer) { return }
    let suite = header.cipher
    guard settings.ciphers.ciphers.contains(suite) else {
      counters.refused += 1
      return warn(
        "\(link.peer.deviceID) wants the cipher \(suite.rawValue), which this device does not have; see `cipher` in both "
          + "configurations")
    }
    var handshake = Handshake(
      .ik, cipher: suite, role: .responder, prologue: header.prologue(from: PeerName(link.peer), to: own),
      key: settings.key)
    do {
      _ = try handshake.read(message)
    } catch {
      return suspect("an initiation from \(link.peer.deviceID) (\(link.peer.address)) does not open")
    }
    guard handshake.remoteKey == link.peer.key else {
      return suspect(
        "an initiation from \(link.peer.deviceID) (\(link.peer.address)) is by another key than the relay vouches for")
    }
    let number = UInt32.random(in: 0 ... .max)
    guard let response = try? handshake.write(withUnsafeBytes(of: number.bigEndian) { Array($0) }) else { return }
    cancelAttempt(of: link)
    link.prepare(
      PeerSession(
        number: number, peersNumber: header.session, isInitiator: false, suite: suite, keys: handshake.split(),
        since: now))
    counters.answers += 1
    var header = header
    header.step = .response
    delegate.send(handshake: Self.frame(header, response, to: link.peer.address))
    checkLater()
  }

  private func finish(_ header: PeerHandshakeHeader, _ message: UnsafeRawBufferPointer, _ link: PeerLink) {
    // What answers an earlier initiation, or one that gave way, is too late.
    guard var attempt = link.attempt, attempt.number == header.session, attempt.suite == header.cipher else {
      return
    }
    guard link.responses.allow(at: .now()) else {
      counters.limited += 1
      return
    }
    let before = attempt.handshake
    guard let payload = try? attempt.handshake.read(message), payload.count >= 4 else {
      // Whoever forged it does not end the attempt.
      link.attempt?.handshake = before
      return suspect("a response from \(link.peer.deviceID) (\(link.peer.address)) does not open")
    }
    let peersNumber = payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    cancelAttempt(of: link)
    link.establish(
      PeerSession(
        number: attempt.number, peersNumber: peersNumber, isInitiator: true, suite: attempt.suite,
        keys: attempt.handshake.split(), since: .now()))
    counters.sessions += 1
    checkLater()
    delegate.linkIsReady(link, isInitiator: true)
  }

  private static func frame(_ header: PeerHandshakeHeader, _ message: [UInt8], to address: IPv4Address) -> [UInt8] {
    let payload = header.bytes + message
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes {
      FrameHeader(type: .peerHandshake, length: payload.count, address: address).write(to: $0)
    }
    return frame + payload
  }

  // MARK: Sealed frames

  /// Opens a data frame's payload in place: the packet records in it, and the link that they came by; `nil` if there is nothing
  /// for the TUN in it: a message, which goes to the delegate, or what is to be dropped, which is counted.
  func open(
    _ payload: UnsafeMutableRawBufferPointer, from peer: Peer
  ) -> (packets: UnsafeRawBufferPointer, link: PeerLink)? {
    guard let header = SealedHeader(parsing: UnsafeRawBufferPointer(payload).bytes) else {
      counters.forged += 1
      return nil
    }
    guard let link = links[peer.address], let session = link.session(header.session) else {
      counters.unknownSession += 1
      heal(peer)
      return nil
    }
    switch session.open(payload, header) {
    case .content(let content):
      if link.confirm(session) {
        counters.sessions += 1
        delegate.linkIsReady(link, isInitiator: false)
      }
      if header.kind == .packets { return (content, link) }
      delegate.linkHasReceived(content, on: link)
      return nil
    case .replayed:
      counters.replayed += 1
    case .forged:
      suspect("a frame from \(peer.deviceID) (\(peer.address)) does not open")
    }
    return nil
  }

  /// A frame names a session that this device does not have: it was started anew and the peer does not know, or the peer took
  /// an answer that was not the last one for it. New keys help in either case.
  private func heal(_ peer: Peer) {
    guard let link = link(to: peer), link.healing.allow(at: .now()) else { return }
    begin(link)
  }

  private func suspect(_ line: String) {
    counters.forged += 1
    warn(line)
  }

  private func warn(_ line: String) {
    guard warnings.allow(at: .now()) else { return }
    delegate.linkIsSuspicious(line)
  }

  // MARK: Time

  private func checkLater() {
    guard !isChecking, !links.isEmpty else { return }
    isChecking = true
    lastCheck = .now()
    events.schedule(after: settings.checkInterval) { [weak self] in
      guard let self else { return }
      self.isChecking = false
      self.check()
      self.checkLater()
    }
  }

  /// To be called before a session is used: ends what has expired, if the check is late because the host slept or the
  /// process was stopped.
  func catchUp(at now: Instant) {
    if isChecking, now.since(lastCheck) > settings.checkInterval * 2 { check(at: now) }
  }

  /// Begins anew where keys have served long enough and are still in use, and forgets the old.
  private func check(at now: Instant = .now()) {
    lastCheck = now
    for link in links.values {
      if let since = link.absentSince {
        if now.since(since) >= Self.absence { forget(link) }
        continue
      }
      link.expire(at: now, after: settings.expireAfter)
      if let session = link.current, session.isInUse, link.next == nil {
        session.isInUse = false
        delegate.linkIsInUse(link)
        // The responder steps in only if the initiator does not.
        let age = now.since(session.since)
        let due = session.isInitiator ? settings.rekeyAfter : settings.rekeyAfter + settings.rekeyAfter / 8
        if age >= due || session.sent >= settings.rekeyFrames { begin(link) }
      }
      // The frame that was to confirm the session did not come.
      if let next = link.next, now.since(next.since) >= Self.confirmation {
        link.dropUnconfirmed()
        if !link.pending.isEmpty { begin(link) }
      }
      // Not at once, or the limit on what the peer may begin would be forgotten too.
      if link.isEmpty {
        link.emptySince = link.emptySince ?? now
        if let since = link.emptySince, now.since(since) >= settings.expireAfter { forget(link) }
      } else {
        link.emptySince = nil
      }
    }
  }
}
