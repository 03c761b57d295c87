internal import Device
internal import Link
internal import Noise
public import SystemIO
internal import SystemPackage
internal import Wire

/// Many devices on one thread that only are there: they join, answer pings, and come back as real ones do when the
/// relay is gone. What the relay tells them of each other they do not read, so that their work does not hide the
/// relay's.
///
/// For any thread but its own.
public final class Crowd: @unchecked Sendable {
  // Set once.
  fileprivate let relay: SocketAddress
  private let thread: LoopThread

  // Owned by the loop's thread.
  fileprivate let memory = ReceiveMemory()
  private var members: [Member] = []
  fileprivate var joined = 0
  fileprivate var waits: [Duration] = []

  fileprivate var loop: EventLoop { thread.loop }

  /// Begins to join `count` devices.
  public init(of count: Int, relay: SocketAddress) throws {
    self.relay = relay
    thread = try LoopThread(name: "crowd")
    let keys = (0..<count).map { testKey("crowd-\($0)") }
    thread.run { [self] in
      members = keys.enumerated().map { Member("crowd-\($0.offset)", $0.element, self) }
      for member in members { member.connect() }
    }
  }

  /// Waits until so many are in; false after a wait that is generous to so many.
  public func isIn(_ count: Int) -> Bool {
    wait(atMost: generousWait * 5) { thread.run { self.joined } == count }
  }

  /// How long each that was in meant to wait when it had lost the relay.
  public var waitsAfterLoss: [Duration] { thread.run { self.waits } ?? [] }

  public func stop() {
    thread.run { for member in self.members { member.end() } }
    thread.stop()
  }
}

/// One device. Owned by the crowd's thread.
private final class Member: EventHandler {
  private let deviceID: String
  private let key: PrivateKey
  private unowned let crowd: Crowd

  private var state = State.waiting
  private var backoff = Backoff()
  private var generation = 0

  private enum State {
    case waiting
    case greeting(FrameConnection, Handshake)
    case joining(FrameConnection)
    case joined(FrameConnection)
    case ended

    var connection: FrameConnection? {
      switch self {
      case .greeting(let connection, _), .joining(let connection), .joined(let connection): connection
      case .waiting, .ended: nil
      }
    }
  }

  /// What a device grants the relay before it tries again.
  private static let joinTimeout = Duration.seconds(10)
  /// No welcome and no refusal is longer.
  private static let longestRead = 4096

  init(_ deviceID: String, _ key: PrivateKey, _ crowd: Crowd) {
    self.deviceID = deviceID
    self.key = key
    self.crowd = crowd
  }

  func connect() {
    let hello = HandshakeHello(keyHint: 0)
    var handshake = Handshake(.xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: key)
    do {
      let message = try hello.bytes + handshake.write()
      let connection = FrameConnection(
        try TCPSocket(connectingTo: crowd.relay).takeDescriptor(), loop: crowd.loop, queueLimit: 1 << 20)
      state = .greeting(connection, handshake)
      try connection.attach(self)
      // It waits until there is a connection.
      connection.send(handshake: message)
    } catch {
      return lose()
    }
    let generation = generation
    crowd.loop.schedule(after: Self.joinTimeout) { [weak self] in
      guard let self, self.generation == generation else { return }
      if case .joined = self.state { return }
      self.lose()
    }
  }

  func handle(_ events: Events) {
    guard let connection = state.connection else { return }
    if events.contains(.writable) { connection.flush() }
    do {
      try connection.receive(
        events, using: crowd.memory,
        deliver: { frame, header throws(WireError) in
          try accept(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...]), header, connection)
        }, finish: {})
    } catch {
      lose()
    }
  }

  private func accept(_ payload: UnsafeRawBufferPointer, _ header: FrameHeader, _ connection: FrameConnection)
    throws(WireError)
  {
    switch (state, header.type) {
    case (.greeting(_, let handshake), .handshake):
      try ask(handshake, payload, connection)
    case (_, .ping):
      connection.send(pongFor: payload)
    case (_, .control) where payload.count <= Self.longestRead:
      switch try ControlMessage.decode(payload) {
      case .welcome:
        state = .joined(connection)
        crowd.joined += 1
        backoff.endOutage()
      case .refused(let refusal): lose(refusal.retryAfter.map { .milliseconds($0) })
      default: break
      }
    default:
      break
    }
  }

  private func ask(_ handshake: consuming Handshake, _ payload: UnsafeRawBufferPointer, _ connection: FrameConnection)
    throws(WireError)
  {
    let request = JoinRequest(deviceID: deviceID, instance: "1", ciphers: CipherList([.chaCha20Poly1305]))
    do {
      _ = try handshake.read(payload)
      connection.send(handshake: try handshake.write(ControlMessage.join(request).encoded()))
    } catch {
      throw .notAuthentic(.handshake)
    }
    let keys = handshake.split()
    connection.secure(sending: keys.send, receiving: keys.receive)
    state = .joining(connection)
  }

  private func lose(_ hint: Duration? = nil) {
    guard let wait = leave(hint) else { return }
    generation += 1
    let generation = generation
    crowd.loop.schedule(after: wait) { [weak self] in
      guard let self, self.generation == generation else { return }
      self.connect()
    }
  }

  /// Closes the connection and returns how long to be away; `nil` for ever.
  private func leave(_ hint: Duration?) -> Duration? {
    if case .ended = state { return nil }
    let former = state
    state = .waiting
    former.connection?.close()
    let wait = hint.map(Backoff.wait(asked:)) ?? backoff.wait(at: .now())
    if case .joined = former {
      crowd.joined -= 1
      crowd.waits.append(wait)
    }
    return wait
  }

  func end() {
    let former = state
    state = .ended
    generation += 1
    former.connection?.close()
  }
}
