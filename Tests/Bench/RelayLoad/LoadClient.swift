import Glibc
import Link
import Noise
import SystemIO
import SystemPackage
import TestSupport
import Wire

/// One device of many, without a kernel interface and without peer sessions: what it sends is opaque to the relay
/// anyway. Owned by the loop's thread but for the connection's sending side.
final class LoadClient: EventHandler, @unchecked Sendable {
  // Set once.
  let connection: FrameConnection
  private unowned let load: Load

  // Owned by the loop's thread until all have joined, and then set.
  private(set) var address = IPv4Address(bits: 0)
  private var state: State

  private enum State {
    case greeting(Handshake, JoinRequest)
    case joining
    case joined
  }

  private static let queueLimit = 4 << 20

  /// Begins to join the relay, whose key it does not know, as device number `number`.
  init(joining relay: SocketAddress, _ number: Int, _ load: Load) throws {
    self.load = load
    connection = FrameConnection(
      try Self.connect(to: relay, number), loop: load.loop, queueLimit: Self.queueLimit)
    let deviceID = "load-\(number)"
    let hello = HandshakeHello(keyHint: 0)
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: testKey(deviceID))
    let greeting = try handshake.write()
    state = .greeting(
      handshake, JoinRequest(deviceID: deviceID, instance: "1", ciphers: CipherList([.chaCha20Poly1305])))
    try connection.attach(self)
    connection.send(handshake: hello.bytes + greeting)
  }

  private static func connect(to relay: SocketAddress, _ number: Int) throws -> Descriptor {
    let descriptor = try loopbackConnection(to: relay, client: number)
    try descriptor.tune(.frames)
    // The least that the kernel can do for what the clients send; the relay's own end has what the system gives it.
    let plain = "reno"
    _ = setsockopt(descriptor.raw, CInt(IPPROTO_TCP), TCP_CONGESTION, plain, socklen_t(plain.utf8.count))
    return descriptor
  }

  func handle(_ events: Events) {
    if events.contains(.writable) { connection.flush() }
    do {
      try connection.receive(
        events, using: load.memory, deliver: { frame, header throws(WireError) in try accept(frame, header) },
        finish: {})
    } catch {
      connection.close()
      load.fail("a session has ended: \(error)")
    }
  }

  private func accept(_ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    let payload = UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...])
    switch (state, header.type) {
    case (.joined, .data): load.arrived(payload, at: self, from: header.address)
    case (_, .ping): connection.send(pongFor: payload)
    case (.joined, .control): load.heardNews()
    case (.greeting(let handshake, let request), .handshake): try answer(handshake, request, payload)
    case (.joining, .control): try learn(try ControlMessage.decode(payload))
    default: throw .unexpectedFrame(header.type)
    }
  }

  private func answer(
    _ begun: Handshake, _ request: JoinRequest, _ payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    var handshake = begun
    do {
      _ = try handshake.read(payload)
      connection.send(handshake: try handshake.write(ControlMessage.join(request).encoded()))
    } catch {
      throw .notAuthentic(.handshake)
    }
    let keys = handshake.split()
    connection.secure(sending: keys.send, receiving: keys.receive)
    state = .joining
  }

  private func learn(_ answer: ControlMessage?) throws(WireError) {
    switch answer {
    case .welcome(let welcome):
      address = welcome.address
      state = .joined
      load.joined()
    case .refused(let refusal): load.fail("a device was refused: \(refusal.text)")
    default: throw .badMessage("it is no answer to a join")
    }
  }
}
