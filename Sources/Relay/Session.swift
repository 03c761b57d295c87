internal import Link
internal import Logging
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One device's connection, from the first byte to the last. Owned by its loop's thread but for `end` and `connection`'s
/// sending side.
final class Session: EventHandler, @unchecked Sendable {
  // Set once.
  let connection: FrameConnection
  let peerName: String
  /// Whether this is the relay host itself, which has the pool's first address.
  let isRelayHost: Bool
  unowned let loop: RelayLoop

  // Owned by the loop's thread.
  private(set) var state = State.joining
  let since = Instant.now()
  private(set) var roundTrip: Duration?
  private var onProof: [@Sendable (Bool) -> Void] = []
  private var proofTimer: Timer?
  private var syncs = RateLimit(perSecond: 1, burst: 2)
  private var hasSyncWaiting = false
  /// How often the device may be told that somebody is not there.
  var notices = RateLimit(perSecond: 200, burst: 200)

  enum State {
    /// Nothing, or not enough, has come.
    case joining
    /// An older session with the same device ID is being asked for a sign of life.
    case waiting
    case joined(deviceID: String, address: IPv4Address)
    case ended
  }

  init(_ connection: FrameConnection, peerName: String, isRelayHost: Bool, loop: RelayLoop) {
    self.connection = connection
    self.peerName = peerName
    self.isRelayHost = isRelayHost
    self.loop = loop
    // Strangers get little memory.
    connection.payloadLimit = FrameType.handshake.maximumPayload
  }

  // MARK: What comes in

  func handle(_ events: Events) {
    if events.contains(.writable) { connection.flush() }
    guard events.contains(.readable) || events.contains(.hangup) else { return }
    do {
      try connection.receive(
        using: loop.memory,
        deliver: { frame, header throws(WireError) in try accept(frame, header) },
        finish: { loop.forwarder.flush() })
    } catch {
      switch error {
      case .closed: finish("left without a word")
      case .system(let errno): finish("connection lost: \(errno)")
      case .wire(let problem):
        loop.limited { $0.warning("\(description): sent \(problem); the connection is closed") }
        close(telling: Refusal(.protocolError, problem.description))
      }
    }
  }

  private func accept(_ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    switch (state, header.type) {
    case (.joined(_, let address), .data):
      FrameHeader.rewriteAddress(of: frame, to: address)
      loop.forwarder.forward(UnsafeRawBufferPointer(frame), to: header.address, from: self)
    case (.ended, _):
      break
    case (.joining, .handshake):
      try join(payload(frame))
    case (.joined(let deviceID, _), .control):
      try obey(try ControlMessage.decode(payload(frame)), deviceID)
    case (.joined, .ping), (.waiting, .ping):
      connection.send(pongFor: payload(frame))
    case (.joined, .pong):
      learn(from: payload(frame))
    default:
      throw .unexpectedFrame(header.type)
    }
  }

  private func payload(_ frame: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...])
  }

  private func obey(_ message: ControlMessage?, _ deviceID: String) throws(WireError) {
    switch message {
    case .sync: resend(deviceID)
    case .leave: finish("left")
    case nil: break
    default: throw .badMessage("it is not for a relay")
    }
  }

  /// Sends everything anew, but not as often as a device may ask: what it asks for too soon, it gets a little later.
  private func resend(_ deviceID: String) {
    guard !hasSyncWaiting else { return }
    guard !syncs.allow(at: .now()) else { return loop.registry.resend(to: self, deviceID) }
    hasSyncWaiting = true
    loop.events.schedule(after: .seconds(1)) { [weak self] in
      guard let self, case .joined = self.state else { return }
      self.hasSyncWaiting = false
      self.loop.registry.resend(to: self, deviceID)
    }
  }

  // MARK: Joining

  private func join(_ payload: UnsafeRawBufferPointer) throws(WireError) {
    guard case .join(let request)? = try ControlMessage.decode(payload) else {
      throw .badMessage("the first one must be a join")
    }
    admit(request, over: nil)
  }

  private func admit(_ request: JoinRequest, over dead: Session?) {
    switch loop.registry.admit(self, request, over: dead) {
    case .admitted(let address):
      state = .joined(deviceID: request.deviceID, address: address)
      connection.payloadLimit = FrameHeader.maximumPayload
      loop.welcome(self)
      loop.logger.info("\(request.deviceID) joined as \(address) from \(peerName)")
      loop.announce()
    case .refused(let refusal):
      loop.limited { $0.notice("\(request.deviceID) (\(peerName)) refused: \(refusal.text)") }
      close(telling: refusal)
    case .contested(let older):
      state = .waiting
      older.askForProof { [self] isAlive in
        loop.events.post { self.settle(request, older, isAlive) }
      }
    }
  }

  private func settle(_ request: JoinRequest, _ older: Session, _ isAlive: Bool) {
    guard case .waiting = state else { return }
    guard isAlive else { return admit(request, over: older) }
    let text = "the device ID \(request.deviceID) is in use by \(older.peerName); give each device an ID of its own"
    loop.limited { $0.warning("\(request.deviceID) (\(peerName)) refused: \(text)") }
    close(telling: Refusal(.deviceIDTaken, text))
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

  // MARK: Signs of life

  /// Looks after a session now and then: asks a silent one for a sign of life, and ends a dead one.
  func check(at now: Instant, keepalive: Duration) {
    connection.trim()
    let silence = now.since(connection.lastReceived)
    switch state {
    case .joined:
      if silence >= keepalive * 3 {
        end(Refusal(.silent, "no sign of life for \(Int(silence.seconds)) s"))
      } else if silence >= keepalive {
        connection.sendPing()
      }
    case .joining:
      guard now.since(since) >= RelaySettings.handshakeTimeout else { return }
      loop.limited {
        $0.notice("\(peerName): has not joined within \(Int(RelaySettings.handshakeTimeout.seconds)) s; closed")
      }
      close(telling: Refusal(.silent, "no join request came in time"))
    case .waiting, .ended:
      break
    }
  }

  private func learn(from pong: UnsafeRawBufferPointer) {
    roundTrip = PingFrame.roundTrip(pong)
    prove(true)
  }

  // MARK: The end

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
    loop.limited { $0.notice("\(peerName): too many connections are about to join, and this one for longest; closed") }
    close(telling: Refusal(.silent, "too many connections are about to join; try again"))
  }

  private func finish(_ why: String, telling refusal: Refusal? = nil) {
    if case .joined = state { loop.logger.info("\(description): \(why)") }
    close(telling: refusal)
  }

  private func close(telling refusal: Refusal? = nil) {
    if let refusal { connection.send(control: ControlMessage.refused(refusal).frame()) }
    let former = state
    state = .ended
    if case .joined(let deviceID, _) = former {
      loop.registry.remove(self, deviceID)
      loop.announce()
    }
    connection.close()
    prove(false)
    loop.forget(self)
  }

  private var description: String {
    switch state {
    case .joined(let deviceID, let address): "\(deviceID) (\(address), \(peerName))"
    default: peerName
    }
  }
}
