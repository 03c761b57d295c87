// The journey into the network: the dialer makes a connection → `dialed`: hello and the handshake's first message →
// `meet`: the relay's answer proves its key, and the join request is sent sealed → `enter`: the relay admits this
// device → `accept`: frames → `lose`: the connection has ended, and the next attempt is scheduled.

internal import Link
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// The connection to the relay, made anew for as long as it takes. Owned by the device's thread.
final class Uplink: EventHandler {
  // Set once.
  let events: EventLoop
  let memory = ReceiveMemory()
  private let resolver = Resolver()
  private let instance: String
  unowned let device: Device

  var settings: DeviceSettings
  private(set) var phase = Phase.idle(atRelaysWish: false)
  /// Counts attempts, for timers of earlier ones.
  var generation = 0
  var backoff = Backoff()
  private(set) var server: String?
  /// The same without the port; `nil` within the process.
  private(set) var host: String?
  /// The server's name in the config, and the key that it has proved.
  var serverName = ""
  var relayKey: PublicKey?
  var relayVersion: String?
  private(set) var lastAddress: IPv4Address?
  /// How often the relay may change the terms of the lease.
  private var renewals = RateLimit(perSecond: 0.2, burst: 10)
  private var draining = Draining.no
  /// What ended connections have carried.
  private var carriedBefore = LinkTotals()

  // For `Uplink+Network.swift`: how the connection leaves this host.
  var pathFinder: PathFinder?
  var path: UplinkPath?
  /// How often a change of the host's network may cause an attempt at once.
  var attemptsAtOnce = RateLimit(perSecond: 0.2, burst: 3)

  // For `Uplink+Keys.swift`. While a new key replaces the old one there are two, and the device proves `key`.
  var key: PrivateKey
  var otherKey: PrivateKey?
  /// Whether the relay is to hear of `otherKey` from this device while it knows `key`.
  var offersOtherKey: Bool
  var isKeyNew = false
  var hasTriedOtherKey = false
  var isOfferScheduled = false
  /// How often the relay may announce another key of its own.
  var adoptions = RateLimit(perSecond: 0.1, burst: 5)

  // For `Uplink+Keepalive.swift`.
  var terms = KeepaliveTerms(base: .seconds(2))
  var roundTrip: Duration?
  var echoes = RelayEchoes()

  // For `Uplink+Segments.swift`.
  var segments = SegmentLimits()
  /// The name of the path that was dialed last in `segments`, and its limit.
  var segmentPath = ""
  var segmentLimit: Int?

  enum Phase {
    /// Waiting before the next attempt, as long as the relay has asked for or as the backoff says.
    case idle(atRelaysWish: Bool)
    case dialing(Dialer)
    case greeting(FrameConnection, Handshake, Trial?)
    case joining(FrameConnection)
    /// Waiting for an operator to approve this device.
    case pending(FrameConnection)
    case joined(FrameConnection, since: Instant)
    case ended

    var connection: FrameConnection? {
      switch self {
      case .greeting(let connection, _, _), .joining(let connection), .pending(let connection),
        .joined(let connection, _):
        connection
      case .idle, .dialing, .ended: nil
      }
    }
  }

  /// The relay wants no more data: some still waits to be sent, or the relay has been told that none comes.
  private enum Draining { case no, sending, done }

  /// What a relay may send: in a large network it tells of all peers at once.
  private static let controlRate = ControlRate(perSecond: 2000, burst: 20_000)
  /// After a connection of this length the next attempt need not wait.
  private static let stableAfter = Duration.seconds(60)

  init(_ settings: DeviceSettings, on events: EventLoop, device: Device) {
    self.settings = settings
    key = settings.peers.key
    otherKey = settings.nextKey
    offersOtherKey = settings.offersNextKey
    self.events = events
    self.device = device
    var random = SystemRandomNumberGenerator()
    instance = String(random.next(), radix: 16) + String(random.next(), radix: 16)
  }

  /// `nil` unless the relay has admitted this device.
  var connection: FrameConnection? {
    if case .joined(let connection, _) = phase { connection } else { nil }
  }

  /// The key that an operator has to approve, while this device waits for that.
  var pendingKey: PublicKey? {
    if case .pending = phase { key.publicKey } else { nil }
  }

  var joinedSince: Instant? {
    if case .joined(_, let since) = phase { since } else { nil }
  }

  /// The traffic of all connections on which this device had joined.
  var totals: LinkTotals {
    var totals = carriedBefore
    if let connection { totals.add(connection) }
    return totals
  }

  var progress: String {
    switch phase {
    case .idle: "waiting before the next attempt"
    case .dialing(let dialer): dialer.progress
    case .greeting: "waiting for \(server ?? "the relay") to begin the handshake"
    case .joining: "waiting for \(server ?? "the relay") to answer the join request"
    case .pending: "waiting for an operator of the relay to let this device in"
    case .joined: isDraining ? "waiting for the relay to end, as it has announced" : "joined"
    case .ended: "ended"
    }
  }

  var isDraining: Bool { draining != .no }

  // MARK: Settings

  /// Changes the servers from the next attempt on, which comes at once if there is no connection and none is being
  /// made.
  func setServers(_ servers: [(host: String, port: UInt16)]) {
    if case .servers(let former) = settings.route, former.elementsEqual(servers, by: ==) { return }
    settings.route = .servers(servers)
    guard case .idle = phase else { return }
    generation += 1
    backoff.reset()
    connect()
  }

  func setQueueLimit(_ limit: Int) {
    settings.queueLimit = limit
    connection?.setQueueLimit(limit)
  }

  // MARK: Making the connection

  func connect() {
    switch settings.route {
    case .servers(let servers):
      let dialer = Dialer(servers, on: events, resolver, for: self)
      phase = .dialing(dialer)
      dialer.start()
    case .local(let open):
      do {
        dialed(try open(), name: "this host", host: nil, server: "this host")
      } catch {
        lose(.broken("\(error)"))
      }
    }
  }

  /// No server took the connection. `failures` has the reasons in order, such as `192.0.2.1:3334: connection refused`.
  func dialFailed(_ failures: [String]) {
    lose(.unreachable(failures))
  }

  /// There is a connection. `name` is the address with its port, `host` without; `server` is the server's name in the
  /// config.
  func dialed(_ descriptor: consuming Descriptor, name: String, host: String?, server serverName: String) {
    server = name
    self.host = host
    self.serverName = serverName
    do {
      try descriptor.tune(.frames)
      path = findPath(local: descriptor.localAddress(), peer: descriptor.peerAddress())
      let trial = trial(of: descriptor)
      let connection = FrameConnection(
        descriptor, loop: events, queueLimit: settings.queueLimit,
        choosesCongestionControl: settings.choosesCongestionControl)
      connection.payloadLimit = FrameType.handshake.maximumPayload
      connection.controlRate = Self.controlRate
      let hello = HandshakeHello(keyHint: settings.trust.expectedKey(of: serverName)?.hint ?? 0)
      var handshake = Handshake(
        .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: key)
      let message = try handshake.write(trial?.padding ?? [])
      phase = .greeting(connection, handshake, trial)
      try connection.attach(self)
      connection.send(handshake: hello.bytes + message)
      device.uplinkReached(.greeting)
      limitHandshake(trial, name)
    } catch {
      return lose(.broken("\(error)"))
    }
  }

  private func limitHandshake(_ trial: Trial?, _ name: String) {
    if let trial {
      schedule(after: trial.patience) { uplink in
        if case .greeting(let connection, _, _) = uplink.phase { uplink.end(trial, connection) }
      }
    }
    schedule(after: DeviceSettings.joinTimeout) { uplink in
      let time = "\(Int(DeviceSettings.joinTimeout.seconds)) s"
      switch uplink.phase {
      case .greeting(let connection, _, _):
        if let other = connection.foreignProtocol { return uplink.lose(.broken(uplink.text(.foreign(other)))) }
        uplink.lose(.broken("\(name) took the connection and has not begun the handshake within \(time)"))
      case .joining: uplink.lose(.broken("\(name) has not answered the join request within \(time)"))
      default: break
      }
    }
  }

  /// Calls `body` after `time`, unless this attempt or connection has ended by then.
  func schedule(after time: Duration, _ body: @escaping (Uplink) -> Void) {
    events.schedule(after: time) { [weak self, generation] in
      guard let self, self.generation == generation else { return }
      body(self)
    }
  }

  /// The handshake's second message: the relay proves its key, and this device asks to join.
  private func meet(
    _ connection: FrameConnection, _ handshake: consuming Handshake, _ message: UnsafeRawBufferPointer, _ trial: Trial?
  ) throws(WireError) {
    let payload: [UInt8]
    do {
      payload = try handshake.read(message)
    } catch {
      throw .notAuthentic(.handshake)
    }
    let greeting = try RelayGreeting(parsing: payload)
    guard greeting.version == protocolVersion, let key = handshake.remoteKey else {
      throw .badMessage("no version of the protocol that this device speaks")
    }
    do {
      if try settings.trust.check(key, of: serverName) { device.onEvent(.trusted(key, server: server ?? "")) }
    } catch {
      return lose(.distrusted(error))
    }
    // Before the request, so that the relay admits no device that cannot take part.
    if let network = greeting.network, let objection = objection(to: network) { return lose(objection) }
    relayKey = key
    if let trial, !passed(trial, padding: greeting.padding) { return }
    let request = JoinRequest(
      deviceID: settings.deviceID, instance: instance, address: settings.address ?? lastAddress,
      addressRequired: settings.address == nil ? nil : true, token: settings.token, ciphers: settings.peers.ciphers)
    guard let answer = try? handshake.write(ControlMessage.join(request).encoded()) else {
      preconditionFailure("a join request fits a message")
    }
    connection.send(handshake: answer)
    let keys = handshake.split()
    connection.secure(sending: keys.send, receiving: keys.receive)
    phase = .joining(connection)
    device.uplinkReached(.asking(key))
  }

  // MARK: What comes in

  func handle(_ events: Events) {
    guard let connection = phase.connection else { return }
    if events.contains(.writable) {
      connection.flush()
      answerDrain(connection)
    }
    do {
      try connection.receive(
        events, using: memory,
        deliver: { frame, header throws(WireError) in try accept(frame, header) },
        finish: {})
    } catch {
      let why = if case .wire(let problem) = error { text(problem) } else { error.text("the relay") }
      lose(.broken(why))
    }
  }

  /// A server that answers in another protocol is no relay.
  private func text(_ problem: WireError) -> String {
    guard case .foreign(let other) = problem else {
      return FrameConnection.ReceiveError.wire(problem).text("the relay")
    }
    return "\(server ?? "the server") is no MNEDC relay: it answers with \(other.name); \(other.adviceAtDevice)"
  }

  private func accept(_ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    let payload = UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...])
    let bytes = UnsafeRawBufferPointer(payload)
    switch (phase, header.type) {
    case (.joined, .data):
      device.pump.deliver(payload, from: header.address)
    case (.joined, .peerHandshake):
      device.pump.deliver(handshake: bytes, from: header.address)
    case (.greeting(let connection, let handshake, let trial), .handshake):
      try meet(connection, handshake, bytes, trial)
    case (.greeting, .control):
      // In the clear, so anybody may have sent it.
      guard case .refused(let refusal)? = try ControlMessage.decode(bytes) else { throw .unexpectedFrame(.control) }
      lose(
        .broken(
          "\(server ?? "the server") refuses before it has proved to be the relay: \(refusal.text)"))
    case (.joining(let connection), .control), (.pending(let connection), .control):
      try enter(connection, try ControlMessage.decode(bytes))
    case (.joined, .control):
      guard let message = try ControlMessage.decode(bytes) else { return }
      try obey(message)
    case (.joining(let connection), .ping), (.pending(let connection), .ping), (.joined(let connection, _), .ping):
      connection.send(pongFor: bytes)
    case (.joined, .pong), (.pending, .pong):
      learn(from: bytes)
    case (.idle, _), (.dialing, _), (.ended, _):
      break  // Frames behind the one that ended the connection.
    default:
      throw .unexpectedFrame(header.type)
    }
  }

  private func obey(_ message: ControlMessage) throws(WireError) {
    switch message {
    case .refused(let refusal):
      lose(.refused(refusal))
    case .welcome(let welcome):
      try renew(welcome)
    case .relayKey(let notice):
      adopt(notice.key)
    case .nextKeyAccepted(let notice) where !isKeyNew && notice.key == otherKey?.publicKey:
      reconnectWithOtherKey()
    case .nextKeyRefused(let refusal) where !isKeyNew && otherKey != nil:
      if refusal.code.isPassing {
        offerAgain()
      } else {
        otherKey = nil
        device.onEvent(.keyKept(refusal))
      }
    case .drain:
      guard case .joined(let connection, _) = phase, !isDraining else { return }
      draining = .sending
      device.uplinkDrains()
      answerDrain(connection)
    default:
      device.uplinkReceived(message)
    }
  }

  // MARK: Drain

  /// Tells the relay that nothing more will come, behind the last of the data.
  private func answerDrain(_ connection: FrameConnection) {
    guard case .joined = phase, draining == .sending, connection.hasSentAll else { return }
    draining = .done
    connection.send(control: ControlMessage.drain.frame())
  }

  // MARK: The answer to the join request

  /// Why this device cannot join a network with these addresses; `nil` if it can.
  private func objection(to network: NetworkNotice) -> UplinkLoss? {
    guard settings.allowPublicPool || network.pool.isPrivate else { return .publicPool(network.pool) }
    return device.uplinkObjection(to: network, from: host).map { .collision($0) }
  }

  private func enter(_ connection: FrameConnection, _ message: ControlMessage?) throws(WireError) {
    switch message {
    case .welcome(let welcome):
      try check(welcome)
      device.uplinkReached(.admitted)
      if let objection = objection(to: welcome.network) {
        connection.send(control: ControlMessage.decline.frame())
        return lose(objection)
      }
      lastAddress = welcome.address
      draining = .no
      agree(on: welcome)
      phase = .joined(connection, since: .now())
      roundTrip = nil
      backoff.endOutage()
      connection.payloadLimit = FrameHeader.maximumPayload
      device.uplinkJoined(welcome)
      connection.sendPing()
      settleKeys()
      checkLater()
    case .refused(let refusal):
      if mayTryOtherKey(after: refusal) {
        hasTriedOtherKey = true
        return reconnectWithOtherKey()
      }
      lose(.refused(refusal))
    case .pending:
      guard case .joining = phase else { return }
      phase = .pending(connection)
      device.onEvent(.pending(server: server ?? ""))
      checkPending()
    case nil: break
    default: throw .badMessage("a welcome was due")
    }
  }

  /// The relay may be hostile.
  private func check(_ welcome: Welcome) throws(WireError) {
    let isLocal = if case .local = settings.route { true } else { false }
    guard welcome.isPlausible, welcome.address != welcome.relayAddress || isLocal else {
      throw .badMessage("a welcome to \(welcome.pool) as \(welcome.address) makes no sense")
    }
  }

  /// Another welcome on the same connection. Each may cause addresses and routes to be configured anew.
  private func renew(_ welcome: Welcome) throws(WireError) {
    guard case .joined = phase else { return }
    try check(welcome)
    guard welcome.address == lastAddress else {
      throw .badMessage("another address, \(welcome.address), while this device is in")
    }
    guard renewals.allow(at: .now()) else { throw .badMessage("other terms of the lease again and again") }
    agree(on: welcome)
    guard settings.allowPublicPool || welcome.pool.isPrivate else {
      return device.onEvent(.warning("\(UplinkLoss.publicPool(welcome.pool)); this device stays in the former pool"))
    }
    device.uplinkRenewed(welcome, from: host)
  }

  // MARK: The end

  /// Ends the connection and schedules the next attempt. `soon`: something has changed that lets that one succeed.
  func lose(_ reason: UplinkLoss, soon: Bool = false) {
    let former = phase
    if case .ended = former { return }
    var (reason, soon) = (reason, soon)
    if let connection, let problem = sizeProblem(of: connection, behind: reason) { (reason, soon) = (problem, true) }
    generation += 1
    roundTrip = nil
    echoes.giveUp()
    path = nil
    endConnection()
    if case .joined(_, let since) = former, Instant.now().since(since) >= Self.stableAfter { backoff.reset() }
    if soon { backoff.reset() }
    let hint = reason.retryAfter
    phase = .idle(atRelaysWish: hint != nil)
    let wait = hint.map(Backoff.wait(asked:)) ?? backoff.wait(at: .now())
    schedule(after: wait) { uplink in
      if case .idle = uplink.phase { uplink.connect() }
    }
    device.uplinkLost(reason, retry: wait)
  }

  /// Makes an attempt at once, in place of one that has not succeeded yet.
  func connectNow() {
    generation += 1
    endConnection()
    backoff.reset()
    connect()
  }

  func endConnection() {
    if let connection { carriedBefore.add(connection) }
    if case .dialing(let dialer) = phase { dialer.cancel() }
    phase.connection?.close()
  }

  /// Leaves and makes no further attempt. `declining`: this host cannot use what its first welcome says.
  func end(declining: Bool = false) {
    if let connection { connection.send(control: (declining ? ControlMessage.decline : .leave).frame()) }
    endConnection()
    phase = .ended
    generation += 1
  }
}
