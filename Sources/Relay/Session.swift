// The journey of a device into the network: hello and the first message of a handshake → `greet`: the relay proves who it is →
// `meet`: the device has proved who it is and asks to be let in → the `AdmissionController` decides, an operator perhaps, and the
// `LeaseAllocator` gives it an address → `admit`: the `Presence` lets it in.
//
// Before a newer session with the same device ID is refused or replaces the older one, the relay sends the older one an
// echo request. A session of the same process is replaced at once.

internal import Link
internal import Logging
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One device's connection, from the first byte to the last. Owned by its loop's thread but for `end` and `connection`'s
/// sending side.
final class Session: EventHandler, @unchecked Sendable {
  // Set once.
  let connection: FrameConnection
  let origin: ConnectionOrigin
  unowned let loop: RelayLoop
  private let place: ConnectionPlace

  // Owned by the loop's thread.
  private(set) var state = State.greeting {
    didSet {
      if case .joined(_, let address) = state { leased = address } else { leased = nil }
      loop.lookSoon(self)
    }
  }
  /// The address of a session that has joined, for the data path: to look at `state` is to copy all that it holds.
  private var leased: IPv4Address?
  var hasJoined: Bool { leased != nil }
  let since = Instant.now()
  /// For the loop's schedule: the session's place in it, and when it was looked after the last time.
  var lookPlace: Int?
  var lastLook = Instant.now()
  private(set) var roundTrip: Duration?
  /// The relay's key that the device has been shown.
  private var shownKey: PublicKey?
  private var onProof: [@Sendable (Bool) -> Void] = []
  private var proofTimer: Timer?
  private var syncs = RateLimit(perSecond: 1, burst: 2)
  private var hasSyncWaiting = false
  /// When the relay admitted the device for the first time, if it was with this session.
  private var newSince: Instant?
  private var keyChanges = RateLimit(perSecond: 0.1, burst: 3)
  /// How often the device may send `locate`; its burst covers all peers that it may watch.
  private var questions = RateLimit(perSecond: 200, burst: Double(Sought.maximumWatched))
  /// How many handshakes with peers the relay forwards: more than a device answers, and at once as many as a packet for
  /// every peer begins.
  private var peerHandshakes = RateLimit(perSecond: 1000, burst: 4000)
  /// How often the device may be told that somebody is not there.
  var notices = RateLimit(perSecond: 200, burst: 200)

  enum State {
    /// Nothing, or not enough, has come.
    case greeting
    /// The relay has proved who it is; the device has not yet.
    case proving(Handshake)
    /// Nobody has decided yet whether the device may join.
    case deciding
    /// An operator has to.
    case pending(Applicant)
    /// An older session of the same device is being asked for an echo.
    case waiting
    case joined(Applicant, address: IPv4Address)
    case ended
  }

  init(_ connection: FrameConnection, origin: ConnectionOrigin, loop: RelayLoop) {
    self.connection = connection
    self.origin = origin
    self.loop = loop
    place = loop.bounds.connections.occupy()
    // Until it is closed, which this session sees to. (A weak reference would make every retain of a session slower.)
    connection.onUse = { [unowned self] in self.loop.lookSoon(self) }
    // A session that has not joined gets little memory and little time.
    connection.payloadLimit = FrameType.handshake.maximumPayload
    connection.controlRate = RelaySettings.controlRateBeforeJoin
  }

  // MARK: What comes in

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
      // Each one may cost its receiver a key agreement.
      if header.type == .peerHandshake, !peerHandshakes.allow(at: .now()) { return }
      FrameHeader.rewriteAddress(of: frame, to: leased)
      loop.forwarder.forward(UnsafeRawBufferPointer(frame), to: header.address, from: self)
      return
    }
    switch (state, header.type) {
    case (.ended, _):
      break
    case (.greeting, .handshake):
      try greet(payload(frame))
    case (.proving(let handshake), .handshake):
      try meet(handshake, payload(frame))
    case (.joined(let applicant, _), .control):
      try obey(try ControlMessage.Unread(payload(frame)), applicant)
    case (.deciding, .ping), (.pending, .ping), (.waiting, .ping), (.joined, .ping):
      connection.send(pongFor: payload(frame))
    case (.deciding, .pong), (.waiting, .pong):
      break  // The answer to a ping from when it was pending.
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
  private func obey(_ message: ControlMessage.Unread, _ applicant: Applicant) throws(WireError) {
    switch message.kind {
    case .sync: resend(applicant.deviceID)
    case .locate:
      guard questions.allow(at: .now()), case .locate(let sought)? = try message.read() else { return }
      loop.presence.locate(sought, for: self, applicant.deviceID)
    case .nextKey:
      guard keyChanges.allow(at: .now()) else { return connection.send(control: Self.tooManyKeys) }
      guard case .nextKey(let notice)? = try message.read() else { return }
      if let objection = applicant.objection(toNextKey: notice.key) { return answer(objection, notice.key) }
      loop.admission.setNextKey(notice.key, of: applicant) { self.answer($0, notice.key) }
    case .drain where loop.draining != nil:
      // Only once what has come before it is forwarded.
      loop.events.post { self.loop.hasAnswered(self) }
    case .leave: finish("left: the device has said goodbye")
    case .decline:
      finish(
        "declined its lease: its host uses the network's addresses otherwise, or cannot set them up or save them")
      // Not later, or an invite would be good for one device after the other.
      if let newSince, Instant.now().since(newSince) < RelaySettings.declineTime {
        loop.admission.undoAdmission(of: applicant)
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

  /// Sends everything anew, but not as often as a device may ask: what it asks for too soon, it gets a little later.
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

  /// Tells the device whether it may connect with `key` from now on. From any thread.
  private func answer(_ refusal: Refusal?, _ key: PublicKey) {
    let answer = refusal.map { ControlMessage.nextKeyRefused($0) } ?? .nextKeyAccepted(KeyNotice(key: key))
    connection.send(control: answer.frame())
  }

  // MARK: Joining

  /// The handshake's first message: the relay answers any device with its key and its network's addresses.
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

  /// The handshake's last message: the device proves who it is, and asks to be let in.
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
    guard case .join(let request)? = try ControlMessage.decode(message) else {
      throw .badMessage("the first one must be a join")
    }
    let applicant = Applicant(request, key: key, origin: origin)
    if let objection = applicant.objection { return refuse(objection, to: applicant) }
    decide(about: applicant)
  }

  /// Asks the admission whether the device may join; `dead` is an older session of it that has not answered an echo.
  private func decide(about applicant: Applicant, over dead: Session? = nil) {
    state = .deciding
    let asOf = loop.presence.beginDeciding(applicant)
    loop.admission.decide(applicant, over: dead) { [self] decision in
      loop.events.post { self.learn(decision, about: applicant, asOf: asOf, over: dead) }
    }
  }

  private func learn(
    _ decision: AdmissionController.Decision, about applicant: Applicant, asOf: Int, over dead: Session?
  ) {
    defer { loop.presence.endDeciding(applicant) }
    guard case .deciding = state else { return }
    switch decision {
    case .admitted(let address, let isNew):
      if isNew { newSince = newSince ?? .now() }
      admit(applicant, at: address, asOf: asOf, over: dead)
    case .refused(let refusal): refuse(refusal, to: applicant)
    case .pending:
      guard loop.admission.keep(self, applicant) else {
        return refuse(
          Refusal(.busy, "too many devices wait for an operator; try again later", retryAfter: 60_000), to: applicant)
      }
      state = .pending(applicant)
      loop.welcome(self)
      connection.send(control: ControlMessage.pending.frame())
      loop.limited {
        $0.notice(
          """
          \(applicant.deviceID) (\(origin.name), \(applicant.fingerprint)) waits to be let in: \
          mnedc-ctl approve \(applicant.deviceID)
          """)
      }
    }
  }

  /// An operator has decided about a session that waits for that: to let it in, or to refuse it. From any thread.
  func settle(refusing refusal: Refusal?) {
    loop.events.post { [self] in
      guard case .pending(let applicant) = state else { return }
      if let refusal { refuse(refusal, to: applicant) } else { decide(about: applicant) }
    }
  }

  private func refuse(_ refusal: Refusal, to applicant: Applicant? = nil) {
    loop.refused(refusal.code)
    // What is no device ID may be anything, and is not for a log.
    let named = applicant.flatMap { DeviceID.isValid($0.deviceID) ? $0 : nil }
    let who = named.map { "\($0.deviceID) (\(origin.name))" } ?? origin.name
    loop.limited { $0.notice("\(who) refused: \(refusal.text)") }
    close(telling: refusal)
  }

  private func admit(_ applicant: Applicant, at address: IPv4Address, asOf: Int, over dead: Session?) {
    switch loop.presence.admit(self, applicant, at: address, decided: asOf, over: dead) {
    case .admitted:
      state = .joined(applicant, address: address)
      connection.payloadLimit = FrameHeader.maximumPayload
      connection.controlRate = RelaySettings.controlRate
      if let newest = loop.keys.successor(of: shownKey) {
        connection.send(control: ControlMessage.relayKey(KeyNotice(key: newest)).frame())
      }
      loop.welcome(self)
      loop.joined()
      loop.admission.noteSeen(applicant)
      loop.limitedComing { $0.info("\(applicant.deviceID) joined as \(address) from \(origin.name)") }
      loop.announce()
    case .outdated:
      decide(about: applicant, over: dead)
    case .contested(let older):
      state = .waiting
      older.askForProof { [self] isAlive in
        loop.events.post { self.settle(applicant, older, isAlive) }
      }
    }
  }

  private func settle(_ applicant: Applicant, _ older: Session, _ isAlive: Bool) {
    guard case .waiting = state else { return }
    // Much may have happened meanwhile: the device may have been sent away.
    guard isAlive else { return decide(about: applicant, over: older) }
    refuse(
      Refusal(
        .keyInUse,
        "the key of \(applicant.deviceID) is in use at \(older.origin.name): if this machine is a copy of that one, run "
          + "mnedc-join --reset --device-id NAME on it, with an invite"),
      to: applicant)
  }

  /// Answers whether this session lives: at once if its device echoes, after `proofTimeout` if not. From any thread.
  private func askForProof(_ answer: @escaping @Sendable (Bool) -> Void) {
    loop.events.post { [self] in
      guard case .joined = state else { return answer(false) }
      onProof.append(answer)
      guard onProof.count == 1 else { return }
      connection.sendPing()
      let asked = Instant.now()
      // The echo may be behind a lot of data on a slow line; the data proves as much.
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

  /// Looks after a session: asks a silent one for an echo, and ends a dead one. `wasAway`: nobody could for long.
  /// Returns when to look again, unless something happens before.
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
      // Somebody who waits for a person may take long, but not longer than its connection.
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

  // MARK: The end

  /// Has the device send no more data. False: it has not joined.
  func tellToDrain() -> Bool {
    guard case .joined = state else { return false }
    connection.send(control: ControlMessage.drain.frame())
    return true
  }

  /// Ends the session with a last word to the device. From any thread.
  func end(_ refusal: Refusal) {
    loop.events.post { [self] in
      guard case .ended = state else {
        finish(refusal.text, telling: refusal)
        return
      }
    }
  }

  /// Ends a session that has not joined, to make room for another.
  func giveWay() {
    loop.limited {
      $0.notice(
        "\(origin.name): the relay has closed this connection, which had not joined, to make room for others"
      )
    }
    close(telling: Refusal(.silent, "too many connections are about to join; try again"))
  }

  /// Ends a session that has sent too many control, ping and pong frames.
  private func endFlood(_ error: FrameConnection.ReceiveError) {
    loop.limited { $0.warning("\(description): \(error.text("the device")); the relay has closed the connection") }
    close(telling: Refusal(.busy, error.text("this device"), retryAfter: RelaySettings.floodRetry))
  }

  private func finish(_ why: String, telling refusal: Refusal? = nil) {
    if case .joined = state { loop.limitedComing { $0.info("\(description): \(why)") } }
    close(telling: refusal)
  }

  private func close(telling refusal: Refusal? = nil) {
    if let refusal { connection.send(control: ControlMessage.refused(refusal).frame()) }
    let former = state
    state = .ended
    switch former {
    case .joined(let applicant, _):
      loop.left(connection)
      loop.presence.remove(self, applicant.deviceID)
      loop.admission.noteSeen(applicant)
      loop.announce()
    case .pending(let applicant):
      loop.admission.drop(self, applicant)
    default: break
    }
    connection.close()
    prove(false)
    loop.forget(self)
  }

  private var description: String {
    switch state {
    case .joined(let applicant, let address): "\(applicant.deviceID) (\(address), \(origin.name))"
    case .pending(let applicant): "\(applicant.deviceID) (\(origin.name))"
    default: origin.name
    }
  }
}
