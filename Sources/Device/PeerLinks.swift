// The journey of a session between two devices:
//
//   a packet has no session       → it waits in the link, and `begin` sends an initiation
//   an initiation comes           → `answer`: checked against the key that the relay vouches for; a response is sent
//   the response comes            → `finish`: the initiator has the session, and what waits is sealed and sent
//   the first sealed frame comes  → `open`: the initiator has the session, so the responder uses it too
//
// If both begin at once, the initiation of the device with the lower key counts, and the other device answers it.

internal import Link
internal import Noise
package import SystemIO
internal import Wire

/// The packet pump, or a test. Called on the device's thread.
protocol PeerLinksDelegate: AnyObject {
  /// There is a session, so what waits in the link can be sent.
  func sessionIsReady(with state: PeerState)
  /// The peer does not answer handshakes; what waits in the link is of no use any more.
  func handshakeHasFailed(with state: PeerState)
  /// Packets have gone or come since the last call, or since the session began.
  func sessionIsInUse(with state: PeerState)
  /// Something that the device's operator should know of, as a line.
  func warn(_ line: String)
}

/// The sessions with all peers. Owned by the device's thread.
package final class PeerLinks {
  // Set once.
  private let neighbourhood: Neighbourhood
  private let events: EventLoop
  weak var delegate: (any PeerLinksDelegate)?

  private var settings: PeerSettings
  private var publicKey: PublicKey
  /// Initiations from addresses that the relay has not listed yet, but may be about to.
  private var early: [IPv4Address: (payload: [UInt8], at: Instant)] = [:]
  private var initiations = RateLimit(perSecond: 500, burst: 1000)
  private var warnings = RateLimit(perSecond: 1, burst: 10)
  private var isChecking = false
  private var lastCheck = Instant.now()
  private(set) var counters = PeerLinkCounters()

  /// How long to wait for a response before another initiation is sent; doubled each time, up to the last.
  private static let firstWait = Duration.milliseconds(200)
  private static let lastWait = Duration.seconds(5)
  /// After this time without response the peer counts as unreachable.
  private static let patience = Duration.seconds(30)
  /// How long the initiator may take to use a session.
  private static let confirmation = Duration.seconds(2)
  private static let maximumEarly = 64
  private static let earlyAge = Duration.seconds(2)

  package init(_ settings: PeerSettings, _ neighbourhood: Neighbourhood, on events: EventLoop) {
    self.settings = settings
    self.neighbourhood = neighbourhood
    self.events = events
    publicKey = settings.key.publicKey
  }

  /// The peers with links.
  var linked: some Sequence<PeerState> { neighbourhood.peers.values.lazy.filter { $0.link != nil } }

  /// The link to a peer, made if there is none; `nil` if the peer is not to be trusted, or shares no cipher.
  func link(to state: PeerState) -> PeerLink? {
    if let link = state.link { return link }
    if let problem = objection(to: state.peer) {
      counters.refused += 1
      warn(problem)
      return nil
    }
    let link = PeerLink(state)
    state.link = link
    checkLater()
    return link
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

  /// The relay has told of peers: handshakes with those that are gone end, and early initiations are answered.
  func update() {
    for state in linked {
      guard let link = state.link else { continue }
      if !state.isListed {
        cancelAttempt(of: link)
      } else if !link.pending.isEmpty {
        // The peer was gone for a moment, and the attempt ended with that.
        begin(with: state)
      }
    }
    let now = Instant.now()
    for (address, initiation) in early {
      if neighbourhood.listed(address) != nil {
        early[address] = nil
        initiation.payload.withUnsafeBytes { receive(handshake: $0, from: address) }
      } else if now.since(initiation.at) >= Self.earlyAge {
        early[address] = nil
      }
    }
  }

  /// The relay has dismissed the peer for good: nothing of its sessions is kept.
  func drop(_ address: IPv4Address) {
    if let state = neighbourhood.peers[address] { forget(state) }
  }

  /// This device has another key: all links end.
  func replaceKey(with key: PrivateKey) {
    settings.key = key
    publicKey = key.publicKey
    for state in linked { forget(state) }
  }

  /// Other keys are pinned: links to peers that have others end.
  func pin(_ keys: [String: PublicKey]) {
    settings.pinnedKeys = keys
    for state in linked where objection(to: state.peer) != nil { forget(state) }
  }

  private func forget(_ state: PeerState) {
    if let link = state.link { cancelAttempt(of: link) }
    state.link = nil
    neighbourhood.prune(state)
  }

  // MARK: Handshakes

  /// Begins a handshake unless one is on its way.
  func begin(with state: PeerState) {
    guard let link = state.link, link.attempt == nil, link.next == nil else { return }
    initiate(state, link, since: .now(), wait: Self.firstWait)
  }

  private func initiate(_ state: PeerState, _ link: PeerLink, since: Instant, wait: Duration) {
    let peer = state.peer
    guard let own = neighbourhood.own, let suite = settings.ciphers.common(with: peer.ciphers) else { return }
    let header = PeerHandshakeHeader(step: .initiation, cipher: suite, session: .random(in: 0 ... .max))
    var handshake = Handshake(
      .ik, cipher: suite, role: .initiator, prologue: header.prologue(from: own, to: PeerName(peer)),
      key: settings.key, remoteKey: peer.key)
    guard let message = try? handshake.write() else {
      counters.refused += 1
      return warn("the relay gives a key of \(peer.deviceID) that is none; nothing is sent to it")
    }
    let timer = events.schedule(after: wait) { [weak self, weak state, weak link] in
      guard let self, let state, let link, state.link === link else { return }
      self.retry(state, link)
    }
    link.attempt = PeerLink.Attempt(
      handshake: handshake, number: header.session, suite: suite, since: since, wait: wait, timer: timer)
    counters.initiations += 1
    send(header, message, on: link)
  }

  private func retry(_ state: PeerState, _ link: PeerLink) {
    guard let attempt = link.attempt else { return }
    link.attempt = nil
    guard Instant.now().since(attempt.since) < Self.patience else {
      delegate?.handshakeHasFailed(with: state)
      return
    }
    initiate(state, link, since: attempt.since, wait: min(attempt.wait * 2, Self.lastWait))
  }

  private func cancelAttempt(of link: PeerLink) {
    guard let attempt = link.attempt else { return }
    events.cancel(attempt.timer)
    link.attempt = nil
  }

  /// Takes a peer-handshake frame's payload.
  func receive(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    guard let header = PeerHandshakeHeader(parsing: payload.bytes) else {
      counters.forged += 1
      return
    }
    let message = UnsafeRawBufferPointer(rebasing: payload[PeerHandshakeHeader.size...])
    switch header.step {
    case .initiation:
      guard let state = neighbourhood.listed(source) else { return keepEarly(payload, from: source) }
      guard let link = link(to: state) else { return }
      answer(header, message, state, link)
    case .response:
      guard let state = neighbourhood.peers[source], let link = state.link else { return }
      finish(header, message, state, link)
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

  private func answer(
    _ header: PeerHandshakeHeader, _ message: UnsafeRawBufferPointer, _ state: PeerState, _ link: PeerLink
  ) {
    let now = Instant.now()
    let peer = state.peer
    guard let own = neighbourhood.own, link.initiations.allow(at: now), initiations.allow(at: now) else {
      counters.limited += 1
      return
    }
    // Both devices have begun, and this one's initiation counts.
    if link.attempt != nil, goesFirst(before: peer) { return }
    let suite = header.cipher
    guard settings.ciphers.ciphers.contains(suite) else {
      counters.refused += 1
      return warn(
        "\(peer.deviceID) wants the cipher \(suite.rawValue), which this device does not have; see `cipher` in both "
          + "configurations")
    }
    var handshake = Handshake(
      .ik, cipher: suite, role: .responder, prologue: header.prologue(from: PeerName(peer), to: own), key: settings.key)
    do {
      _ = try handshake.read(message)
    } catch {
      return suspect("an initiation from \(peer.deviceID) (\(peer.address)) does not open")
    }
    guard handshake.remoteKey == peer.key else {
      return suspect(
        "an initiation from \(peer.deviceID) (\(peer.address)) is by another key than the relay vouches for")
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
    send(header, response, on: link)
    checkLater()
  }

  private func finish(
    _ header: PeerHandshakeHeader, _ message: UnsafeRawBufferPointer, _ state: PeerState, _ link: PeerLink
  ) {
    // It answers an earlier initiation.
    guard var attempt = link.attempt, attempt.number == header.session, attempt.suite == header.cipher else {
      return
    }
    guard link.responses.allow(at: .now()) else {
      counters.limited += 1
      return
    }
    let before = attempt.handshake
    guard let payload = try? attempt.handshake.read(message), payload.count >= 4 else {
      // A forged response does not end the attempt.
      link.attempt?.handshake = before
      return suspect("a response from \(state.peer.deviceID) (\(state.address)) does not open")
    }
    let peersNumber = payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    cancelAttempt(of: link)
    let session = PeerSession(
      number: attempt.number, peersNumber: peersNumber, isInitiator: true, suite: attempt.suite,
      keys: attempt.handshake.split(), since: .now())
    link.establish(session)
    counters.sessions += 1
    checkLater()
    delegate?.sessionIsReady(with: state)
    // The responder has to see a frame before it may use the session.
    if session.sent == 0 { link.path.send([], as: .packets, flow: 0, session) }
  }

  private func send(_ header: PeerHandshakeHeader, _ message: [UInt8], on link: PeerLink) {
    let payload = header.bytes + message
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes {
      FrameHeader(type: .peerHandshake, length: payload.count, address: link.path.address).write(to: $0)
    }
    link.path.send(frame + payload)
  }

  // MARK: Sealed frames

  /// A data frame that was opened where it lies.
  struct Opened {
    let header: SealedHeader
    let content: UnsafeRawBufferPointer
    let link: PeerLink
  }

  /// Opens a data frame's payload in place; `nil`: it is dropped, and counted. `mayHeal`: a frame of an unknown session
  /// may begin a handshake.
  func open(
    _ payload: UnsafeMutableRawBufferPointer, from state: PeerState, mayHeal: Bool = true
  ) -> Opened? {
    guard let header = SealedHeader(parsing: UnsafeRawBufferPointer(payload).bytes) else {
      counters.forged += 1
      return nil
    }
    guard let link = state.link, let session = link.session(header.session) else {
      counters.unknownSession += 1
      if mayHeal { heal(state) }
      return nil
    }
    switch session.open(payload, header) {
    case .content(let content):
      if link.confirm(session) {
        counters.sessions += 1
        delegate?.sessionIsReady(with: state)
      }
      return Opened(header: header, content: content, link: link)
    case .replayed:
      counters.replayed += 1
    case .forged:
      suspect("a frame from \(state.peer.deviceID) (\(state.address)) does not open")
    }
    return nil
  }

  /// A frame names a session that this device does not have: this device was restarted and the peer does not know, or
  /// the peer took a response that was not the last one for it. New keys help in either case.
  private func heal(_ state: PeerState) {
    guard let link = link(to: state), link.healing.allow(at: .now()), link.attempt == nil else { return }
    initiate(state, link, since: .now(), wait: Self.firstWait)
  }

  private func suspect(_ line: String) {
    counters.forged += 1
    warn(line)
  }

  private func warn(_ line: String) {
    if warnings.allow(at: .now()) { delegate?.warn(line) }
  }

  // MARK: Time

  private func checkLater() {
    guard !isChecking, linked.contains(where: { _ in true }) else { return }
    isChecking = true
    lastCheck = .now()
    events.schedule(after: settings.checkInterval) { [weak self] in
      guard let self else { return }
      self.isChecking = false
      self.check()
      self.checkLater()
    }
  }

  /// Ends what has expired, if the check is late because the host slept or the process was stopped. To be called before
  /// a session is used.
  func catchUp(at now: Instant) {
    if isChecking, now.since(lastCheck) > settings.checkInterval * 2 { check(at: now) }
  }

  /// Begins a re-key where keys have served long enough and are still in use, and forgets old sessions.
  private func check(at now: Instant = .now()) {
    lastCheck = now
    for state in linked {
      guard let link = state.link else { continue }
      if let since = state.absentSince {
        if now.since(since) >= Neighbourhood.longestAbsence { forget(state) }
        continue
      }
      link.expire(at: now, after: settings.expireAfter)
      if let session = link.current, session.isInUse, link.next == nil {
        session.isInUse = false
        delegate?.sessionIsInUse(with: state)
        // The responder begins only if the initiator does not.
        let age = now.since(session.since)
        let due = session.isInitiator ? settings.rekeyAfter : settings.rekeyAfter + settings.rekeyAfter / 8
        if age >= due || session.sent >= settings.rekeyFrames { begin(with: state) }
      }
      // The frame that was to confirm the session did not come.
      if let next = link.next, now.since(next.since) >= Self.confirmation {
        link.dropUnconfirmed()
        if !link.pending.isEmpty { begin(with: state) }
      }
      // Later, because the limit on the peer's initiations is forgotten with the link.
      if link.isEmpty, !state.path.isDirect {
        link.emptySince = link.emptySince ?? now
        if let since = link.emptySince, now.since(since) >= settings.expireAfter { forget(state) }
      } else {
        link.emptySince = nil
      }
    }
  }
}

extension PeerLinks: PeerMessenger {
  var isConnected: Bool { neighbourhood.relay.connection != nil }

  func goesFirst(before peer: Peer) -> Bool { publicKey.bytes.lexicographicallyPrecedes(peer.key.bytes) }

  func openSession(with state: PeerState) -> Bool {
    guard let link = link(to: state) else { return false }
    if link.current != nil { return true }
    begin(with: state)
    return false
  }

  func send(_ message: [UInt8], to state: PeerState) -> Bool {
    guard state.isReachable, let link = state.link, let session = link.current else { return false }
    link.path.send(message, as: .message, flow: PeerMessage.flow, session)
    return true
  }
}
