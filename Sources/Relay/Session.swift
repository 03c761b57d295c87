// How a device joins:
//
//   `greet`                 hello and the handshake's first message: the relay proves its key
//   `meet`                  the handshake's last message: the device proves its key and asks to join
//   `AdmissionController`   decides by the rules of `Admission`; an operator may have to approve
//   `admit`                 the session claims the device's address in `Presence`
//
// Before a newer session with the same device ID is refused or replaces the older one, the relay sends the older one an
// echo request. A session of the same process is replaced at once.

internal import Admission
internal import Link
internal import Logging
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One device's connection, from the first byte to the last. Owned by its loop's thread, except `end` and the sending
/// side of `connection`.
final class Session: EventHandler, @unchecked Sendable {
  // Set once.
  let outlet: Outlet
  let connection: FrameConnection
  let origin: ConnectionOrigin
  unowned let loop: RelayLoop

  // Owned by the loop's thread.
  private(set) var state = State.greeting {
    didSet {
      if case .joined(_, let address) = state { leased = address } else { leased = nil }
      loop.checkSoon(self)
    }
  }
  /// The address of a joined session, for the data path: reading `state` would copy all that it holds.
  private var leased: IPv4Address?
  var hasJoined: Bool { leased != nil }
  let since = Instant.now()
  /// The place in the loop's schedule, and the time of the last check.
  var schedulePlace: Int?
  var lastCheck = Instant.now()
  private(set) var roundTrip: Duration?
  /// The key with which the relay has proved itself.
  private var shownKey: PublicKey?
  private var onProof: [@Sendable (Bool) -> Void] = []
  private var proofTimer: Timer?
  private var syncs = RateLimit(perSecond: 1, burst: 2)
  private var hasSyncWaiting = false
  /// When the relay admitted the device, if it did not know it before this session.
  private var newSince: Instant?
  private var keyChanges = RateLimit(perSecond: 0.1, burst: 3)
  /// Limits `standing`.
  private var standings = RateLimit(perSecond: 2, burst: 300)
  /// Limits `locate`; the burst covers all peers that a device may watch.
  private var questions = RateLimit(perSecond: 200, burst: Double(Sought.maximumWatched))
  /// Limits forwarded handshakes with peers: more than a device answers, with a burst for one packet to every peer.
  private var peerHandshakes = RateLimit(perSecond: 1000, burst: 4000)

  enum State {
    /// The first message has not come.
    case greeting
    /// The relay has proved its key; the device has not.
    case proving(Handshake)
    /// The store decides whether the device may join.
    case deciding
    /// An operator has to decide.
    case pending(AdmissionRequest)
    /// An older session of the same device is asked for an echo.
    case waiting
    case joined(AdmissionRequest, address: IPv4Address)
    case ended
  }

  init(_ connection: FrameConnection, origin: ConnectionOrigin, loop: RelayLoop) {
    self.connection = connection
    self.origin = origin
    self.loop = loop
    outlet = Outlet(connection, countedBy: loop.bounds.connections)
    // Until this session closes the connection. (A weak reference would make every retain of a session slower.)
    connection.onUse = { [unowned self] in self.loop.checkSoon(self) }
    // Before it has joined, a session gets little memory and time.
    connection.payloadLimit = FrameType.handshake.maximumPayload
    connection.controlRate = RelaySettings.controlRateBeforeJoin
  }

  // MARK: Receiving

  func handle(_ events: Events) {
    if events.contains(.writable) { connection.flush() }
    do {
      try connection.receive(
        events, using: loop.memory,
        deliver: { frame, header throws(WireError) in try accept(frame, header) },
        finish: { loop.forwarder.flush() })
    } catch {
      switch error {
      case .wire(let problem):
        loop.broken(problem)
        let advice = if case .foreign(let other) = problem { "; \(other.adviceAtRelay)" } else { "" }
        loop.limited { $0.warning("\(description): sent \(problem); the relay has closed the connection\(advice)") }
        close(telling: Refusal(.protocolError, problem.description + advice))
      case .flood: endFlood(error)
      case .closed, .unread, .system:
        let sizes = hasJoined ? connection.sizeProblem(at: .now()) : nil
        finish(sizes?.text("the device") ?? error.text("the device"))
      }
    }
  }

  private func accept(_ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    if let leased, header.type == .data || header.type == .peerHandshake {
      // Each handshake may cost its receiver a key agreement.
      if header.type == .peerHandshake, !peerHandshakes.allow(at: .now()) { return }
      FrameHeader.rewriteAddress(of: frame, to: leased)
      if !loop.forwarder.forward(UnsafeRawBufferPointer(frame), to: header.address) {
        outlet.report(unreachable: header.address)
      }
      return
    }
    switch (state, header.type) {
    case (.ended, _):
      break
    case (.greeting, .handshake):
      try greet(payload(frame))
    case (.proving(let handshake), .handshake):
      try meet(handshake, payload(frame))
    case (.joined(let request, _), .control):
      try obey(try ControlMessage.Unread(payload(frame)), request)
    case (.deciding, .ping), (.pending, .ping), (.waiting, .ping), (.joined, .ping):
      connection.send(pongFor: payload(frame))
    case (.deciding, .pong), (.waiting, .pong):
      break  // Answers a ping of the time when it was pending.
    case (.pending, .pong), (.joined, .pong):
      learn(from: payload(frame))
    default:
      throw .unexpectedFrame(header.type)
    }
  }

  private func payload(_ frame: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...])
  }

  /// Messages above their rate limit are dropped before they are parsed.
  private func obey(_ message: ControlMessage.Unread, _ request: AdmissionRequest) throws(WireError) {
    switch message.kind {
    case .sync: resend(request.deviceID)
    case .locate:
      guard questions.allow(at: .now()), case .locate(let sought)? = try message.read() else { return }
      loop.presence.locate(sought, for: self, request.deviceID)
    case .standing:
      guard standings.allow(at: .now()), case .standing(let asked)? = try message.read() else { return }
      loop.admission.findKnown(among: asked.keys) { self.answer(asked, known: $0) }
    case .nextKey:
      guard keyChanges.allow(at: .now()) else { return connection.send(control: Self.tooManyKeys) }
      guard case .nextKey(let notice)? = try message.read() else { return }
      if let objection = request.objection(toNextKey: notice.key) { return answer(objection, notice.key) }
      loop.admission.setNextKey(notice.key, of: request) { self.answer($0, notice.key) }
    case .drain where loop.draining != nil:
      // After the frames before this one are forwarded.
      loop.events.post { self.loop.hasAnswered(self) }
    case .leave: finish("left: the device has said goodbye")
    case .decline:
      finish(
        "declined its lease: its host uses the network's addresses otherwise, or cannot set them up or save them")
      // Not later, or one use of an invite would serve one device after the other.
      if let newSince, Instant.now().since(newSince) < RelaySettings.declineTime {
        loop.admission.undoAdmission(of: request)
      }
    case nil: break
    default:
      _ = try message.read()
      throw .badMessage("it is not for a relay")
    }
  }

  private static let tooManyKeys = ControlMessage.nextKeyRefused(
    Refusal(.busy, "the key was changed only just now; try again in a while")
  ).frame()

  /// Sends the whole list again. A device that asks too often gets it a second later.
  private func resend(_ deviceID: String) {
    guard !hasSyncWaiting else { return }
    guard !syncs.allow(at: .now()) else { return loop.presence.resend(to: self, deviceID) }
    hasSyncWaiting = true
    loop.events.schedule(after: .seconds(1)) { [weak self] in
      guard let self, case .joined = self.state else { return }
      self.hasSyncWaiting = false
      self.loop.presence.resend(to: self, deviceID)
    }
  }

  /// Tells the device which keys are known; nothing if the store cannot tell now. From any thread.
  private func answer(_ asked: Standing, known: [PublicKey]?) {
    guard let known else { return }
    connection.send(control: ControlMessage.standing(Standing(keys: asked.keys, known: known)).frame())
  }

  /// Tells the device whether the relay accepts its next key. From any thread.
  private func answer(_ refusal: Refusal?, _ key: PublicKey) {
    let answer = refusal.map { ControlMessage.nextKeyRefused($0) } ?? .nextKeyAccepted(KeyNotice(key: key))
    connection.send(control: answer.frame())
  }

  // MARK: Joining

  /// The handshake's first message: the relay answers every device with its key and its network's addresses.
  private func greet(_ payload: UnsafeRawBufferPointer) throws(WireError) {
    let hello = try HandshakeHello(parsing: payload.bytes)
    guard hello.versions.contains(protocolVersion) else {
      return refuse(Refusal(.unsupportedVersion, "this relay speaks version \(protocolVersion) of the protocol only"))
    }
    guard loop.mayGreet(origin) else {
      return refuse(Refusal(.busy, "too many connections come from \(origin.host); try again in a while"))
    }
    let key = loop.keys.key(for: hello.keyHint)
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .responder, prologue: hello.prologue, key: key)
    do {
      let padding = try handshake.read(UnsafeRawBufferPointer(rebasing: payload[HandshakeHello.size...]))
      var answer = loop.presence.greeting
      answer.append(contentsOf: repeatElement(0, count: min(padding.count, HandshakeHello.maximumPadding)))
      connection.send(handshake: try handshake.write(answer))
    } catch {
      throw .notAuthentic(.handshake)
    }
    shownKey = key.publicKey
    state = .proving(handshake)
  }

  /// The handshake's last message: the device proves its key and asks to join.
  private func meet(_ handshake: consuming Handshake, _ payload: UnsafeRawBufferPointer) throws(WireError) {
    let message: [UInt8]
    do {
      message = try handshake.read(payload)
    } catch {
      throw .notAuthentic(.handshake)
    }
    guard let key = handshake.remoteKey else { preconditionFailure("XX brings the initiator's key") }
    let keys = handshake.split()
    connection.secure(sending: keys.send, receiving: keys.receive)
    guard case .join(let join)? = try ControlMessage.decode(message) else {
      throw .badMessage("the first one must be a join")
    }
    let request = AdmissionRequest(join, key: key, host: origin.host, isRelayHost: origin.isRelayHost)
    if let objection = request.objection { return refuse(objection, to: request) }
    decide(about: request)
  }

  /// `dead` is an older session of the device that did not answer an echo.
  private func decide(about request: AdmissionRequest, over dead: Session? = nil) {
    state = .deciding
    var request = request
    request.deadSession = dead.map { ObjectIdentifier($0) }
    let asOf = loop.presence.beginDeciding(request)
    loop.admission.decide(request) { [self, request] decision in
      // `dead` lives until then, so that its identifier is no other session's.
      loop.events.post { self.learn(decision, about: request, asOf: asOf, over: dead) }
    }
  }

  private func learn(
    _ decision: AdmissionDecision, about request: AdmissionRequest, asOf: Int, over dead: Session?
  ) {
    defer { loop.presence.endDeciding(request) }
    guard case .deciding = state else { return }
    switch decision {
    case .admitted(let address, let isNew):
      if isNew { newSince = newSince ?? .now() }
      admit(request, at: address, asOf: asOf, over: dead)
    case .refused(let refusal): refuse(refusal, to: request)
    case .pending:
      guard loop.admission.approvals.add(self, request) else {
        return refuse(
          Refusal(.busy, "too many devices wait for an operator; try again later", retryAfter: 60_000), to: request)
      }
      state = .pending(request)
      loop.welcome(self)
      connection.send(control: ControlMessage.pending.frame())
      loop.limited {
        $0.notice(
          """
          \(request.deviceID) (\(origin.name), \(request.fingerprint)) waits for approval: \
          mnedc-ctl approve \(request.deviceID)
          """)
      }
    }
  }

  /// Ends the wait for an operator, who approved the device or refused it. From any thread.
  func settle(refusing refusal: Refusal?) {
    loop.events.post { [self] in
      guard case .pending(let request) = state else { return }
      if let refusal { refuse(refusal, to: request) } else { decide(about: request) }
    }
  }

  private func refuse(_ refusal: Refusal, to request: AdmissionRequest? = nil) {
    loop.refused(refusal.code)
    // An invalid device ID may contain anything, so it is not logged.
    let named = request.flatMap { DeviceID.isValid($0.deviceID) ? $0 : nil }
    let who = named.map { "\($0.deviceID) (\(origin.name))" } ?? origin.name
    loop.limited { $0.notice("\(who) refused: \(refusal.textForOperator)") }
    close(telling: refusal)
  }

  private func admit(_ request: AdmissionRequest, at address: IPv4Address, asOf: Int, over dead: Session?) {
    switch loop.presence.claim(self, request, at: address, decided: asOf) {
    case .admitted:
      state = .joined(request, address: address)
      connection.payloadLimit = FrameHeader.maximumPayload
      connection.controlRate = RelaySettings.controlRate
      if let newest = loop.keys.successor(of: shownKey) {
        connection.send(control: ControlMessage.relayKey(KeyNotice(key: newest)).frame())
      }
      loop.welcome(self)
      loop.joined()
      loop.admission.noteSeen(request)
      loop.limitedJoin { $0.info("\(request.deviceID) joined as \(address) from \(origin.name)") }
      loop.announce()
    case .outdated:
      decide(about: request, over: dead)
    case .contested(let older):
      state = .waiting
      older.askForProof { [self] isAlive in
        loop.events.post { self.settle(request, older, isAlive) }
      }
    }
  }

  private func settle(_ request: AdmissionRequest, _ older: Session, _ isAlive: Bool) {
    guard case .waiting = state else { return }
    // The device may have been revoked meanwhile.
    guard isAlive else { return decide(about: request, over: older) }
    refuse(
      Refusal(
        .keyInUse,
        "the key of \(request.deviceID) is in use at \(older.origin.name): if this machine is a copy of that one, run "
          + "mnedc-join --reset --device-id NAME on it, with an invite"),
      to: request)
  }

  /// Answers whether the device is alive: at once if it echoes, after `proofTimeout` if not. From any thread.
  private func askForProof(_ answer: @escaping @Sendable (Bool) -> Void) {
    loop.events.post { [self] in
      guard case .joined = state else { return answer(false) }
      onProof.append(answer)
      guard onProof.count == 1 else { return }
      connection.sendPing()
      let asked = Instant.now()
      // On a slow path the echo may be behind much data, which proves as much.
      proofTimer = loop.events.schedule(after: RelaySettings.proofTimeout) {
        self.prove(self.connection.lastReceived > asked)
      }
    }
  }

  private func prove(_ isAlive: Bool) {
    if let proofTimer { loop.events.cancel(proofTimer) }
    proofTimer = nil
    let waiting = onProof
    onProof = []
    for answer in waiting { answer(isAlive) }
  }

  // MARK: Keepalive

  /// Asks a silent device for an echo, and ends a dead session. `wasAway`: the process or the host was stopped for
  /// long. Returns when to check again, unless something happens before.
  func check(at now: Instant, wasAway: Bool, _ terms: KeepaliveTerms) -> Instant {
    switch state {
    case .joined:
      do throws(FrameConnection.Lifelessness) {
        try connection.check(at: now, wasAway: wasAway, terms)
        return connection.nextCheck
      } catch {
        end(Refusal(.silent, error.text("the device")))
      }
    case .pending:
      // An operator may take any time, but the connection must stay alive.
      do throws(FrameConnection.Lifelessness) {
        try connection.check(at: now, wasAway: wasAway, RelaySettings.pendingTerms)
        return connection.nextCheck
      } catch {
        finish(error.text("the device"))
      }
    case .greeting, .proving:
      let limit = since.advanced(by: RelaySettings.handshakeTimeout)
      guard now >= limit else { return limit }
      let time = Int(RelaySettings.handshakeTimeout.seconds)
      let other = connection.foreignProtocol.map { ", but sent \($0.name); \($0.adviceAtRelay)" } ?? ""
      loop.limited {
        $0.notice("\(origin.name): the relay has closed a connection that has not joined within \(time) s\(other)")
      }
      close(telling: Refusal(.silent, "no join request came within \(time) s"))
    case .deciding, .waiting, .ended:
      break
    }
    return Instant(nanoseconds: .max)
  }

  private func learn(from pong: UnsafeRawBufferPointer) {
    roundTrip = PingFrame.roundTrip(pong)
    prove(true)
  }

  // MARK: Ending

  /// Asks the device to send no more data. False: it has not joined.
  func tellToDrain() -> Bool {
    guard case .joined = state else { return false }
    connection.send(control: ControlMessage.drain.frame())
    return true
  }

  /// Ends the session with a refusal for the device. From any thread.
  func end(_ refusal: Refusal) {
    loop.events.post { [self] in
      guard case .ended = state else {
        finish(refusal.text, telling: refusal)
        return
      }
    }
  }

  /// Evicts a session that has not joined.
  func giveWay() {
    loop.limited {
      $0.notice(
        "\(origin.name): the relay has closed this connection, which had not joined, to make room for others"
      )
    }
    close(telling: Refusal(.silent, "too many connections are about to join; try again"))
  }

  /// Ends a session whose device has sent too many control, ping and pong frames.
  private func endFlood(_ error: FrameConnection.ReceiveError) {
    loop.limited { $0.warning("\(description): \(error.text("the device")); the relay has closed the connection") }
    close(telling: Refusal(.busy, error.text("this device"), retryAfter: RelaySettings.floodRetry))
  }

  private func finish(_ why: String, telling refusal: Refusal? = nil) {
    if case .joined = state { loop.limitedJoin { $0.info("\(description): \(why)") } }
    close(telling: refusal)
  }

  private func close(telling refusal: Refusal? = nil) {
    if let refusal { connection.send(control: ControlMessage.refused(refusal).frame()) }
    let former = state
    state = .ended
    switch former {
    case .joined(let request, _):
      loop.left(connection)
      loop.presence.withdraw(self, request.deviceID)
      loop.admission.noteSeen(request)
      loop.announce()
    case .pending(let request):
      loop.admission.approvals.remove(self, request)
    default: break
    }
    connection.close()
    prove(false)
    loop.forget(self)
  }

  private var description: String {
    switch state {
    case .joined(let request, let address): "\(request.deviceID) (\(address), \(origin.name))"
    case .pending(let request): "\(request.deviceID) (\(origin.name))"
    default: origin.name
    }
  }
}

extension Refusal {
  /// What the relay logs of it. Where the ID is another device's, the machine is often a copy of that one.
  fileprivate var textForOperator: String {
    guard code == .deviceIDTaken, let end = text.firstRange(of: "; ")?.lowerBound else { return text }
    return
      "\(text[..<end]); if this machine is a copy of that device, run mnedc-join --reset there, or give it an ID of "
      + "its own (--device-id); only if it has taken that device's place, revoke that one (mnedc-ctl revoke)"
  }
}
