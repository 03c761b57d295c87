internal import Glibc
public import Noise
public import SystemIO
internal import SystemPackage
public import Wire

/// One frame as bytes, header and payload.
public func frameBytes(
  _ type: FrameType, _ payload: [UInt8] = [], address: IPv4Address = IPv4Address(bits: 0), flow: UInt16 = 0
) -> [UInt8] {
  var header = [UInt8](repeating: 0, count: FrameHeader.size)
  header.withUnsafeMutableBytes {
    FrameHeader(type: type, length: payload.count, address: address, flow: flow).write(to: $0)
  }
  return header + payload
}

/// A frame that came.
public struct ReceivedFrame: Sendable, Equatable {
  public let header: FrameHeader
  public let payload: [UInt8]

  public init(header: FrameHeader, payload: [UInt8]) {
    self.header = header
    self.payload = payload
  }

  /// The control message that it carries.
  public func message() throws -> ControlMessage? {
    try payload.withUnsafeBytes { try ControlMessage.decode($0) }
  }
}

/// One end of a stream that says exactly what a test wants it to, in order or not. Every call waits, but not for ever.
public final class RawFrameClient {
  public enum Failure: Error {
    /// Nothing happened within the limit.
    case timeout
    /// The other end closed the connection.
    case closed
    /// A sealed frame does not open.
    case notAuthentic
  }

  private let descriptor: Descriptor
  private var buffer: [UInt8] = []
  private var sending: Seal?
  private var receiving: Seal?

  /// One direction's keys, once the handshake is over.
  private struct Seal: ~Copyable {
    let cipher: TransportCipher
    var counter: UInt64 = 0

    mutating func seal(_ frame: UnsafeMutableRawBufferPointer) {
      cipher.seal(
        UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), counter: counter,
        associatedData: UnsafeRawBufferPointer(rebasing: frame[..<FrameHeader.size]))
      counter += 1
    }

    mutating func open(_ frame: UnsafeMutableRawBufferPointer) -> Bool {
      defer { counter += 1 }
      return cipher.open(
        UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), counter: counter,
        associatedData: UnsafeRawBufferPointer(rebasing: frame[..<FrameHeader.size]))
    }
  }

  /// Takes over a connected, non-blocking stream socket.
  public init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  public convenience init(connectingTo address: SocketAddress) throws {
    self.init(try TCPSocket(connectingTo: address).takeDescriptor())
    try waitFor(POLLOUT, Instant.now().advanced(by: generousWait))
    if let error = descriptor.takeSocketError() { throw error }
  }

  public func send(_ bytes: [UInt8], within limit: Duration = generousWait) throws {
    let deadline = Instant.now().advanced(by: limit)
    var sent = 0
    while sent < bytes.count {
      let count = try bytes.withUnsafeBytes { try descriptor.send(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
      if let count { sent += count } else { try waitFor(POLLOUT, deadline) }
    }
  }

  /// Sends a control message, sealed once the handshake is over.
  public func send(_ message: ControlMessage, as type: FrameType = .control) throws {
    try send(sealing: message.frame(type))
  }

  /// Sends one frame, sealed if it is of a kind that is, once the handshake is over.
  public func send(sealing frame: [UInt8]) throws {
    try send(sealed(frame))
  }

  /// The bytes that `send(sealing:)` would send.
  public func sealed(_ frame: [UInt8]) throws -> [UInt8] {
    let header = try frame.withUnsafeBytes { try FrameHeader(parsing: $0.bytes) }
    guard sending != nil, header.type.isSealedByLink else { return frame }
    var sealed = frameBytes(
      header.type, Array(frame[FrameHeader.size...]) + [UInt8](repeating: 0, count: TransportCipher.tagSize),
      address: header.address, flow: header.flow)
    sealed.withUnsafeMutableBytes { sending!.seal($0) }
    return sealed
  }

  /// Goes through the handshake as a device does, up to its last message with the join request.
  public func join(_ request: JoinRequest, key: PrivateKey, hint: UInt64 = 0) throws {
    let hello = HandshakeHello(keyHint: hint)
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: key)
    try send(frameBytes(.handshake, hello.bytes + handshake.write()))
    let answer = try receive()
    if answer.header.type == .control, case .refused(let refusal)? = try answer.message() { throw refusal }
    let greeting = try RelayGreeting(parsing: answer.payload.withUnsafeBytes { try handshake.read($0) })
    relayKey = handshake.remoteKey
    network = greeting.network
    try send(frameBytes(.handshake, handshake.write(ControlMessage.join(request).encoded())))
    let keys = handshake.split()
    sending = Seal(cipher: TransportCipher(keys.send))
    receiving = Seal(cipher: TransportCipher(keys.receive))
  }

  /// Goes through the handshake as a relay does, up to the join request, which is not answered yet. Without `network`,
  /// as a relay of an older release does.
  public func accept(key: PrivateKey, network: NetworkNotice? = nil) throws -> JoinRequest {
    let first = try receive().payload
    let hello = try first.withUnsafeBytes { try HandshakeHello(parsing: $0.bytes) }
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .responder, prologue: hello.prologue, key: key)
    _ = try Array(first[HandshakeHello.size...]).withUnsafeBytes { try handshake.read($0) }
    try send(frameBytes(.handshake, handshake.write(RelayGreeting(network: network).bytes)))
    let request = try receive().payload.withUnsafeBytes { try handshake.read($0) }
    let keys = handshake.split()
    sending = Seal(cipher: TransportCipher(keys.send))
    receiving = Seal(cipher: TransportCipher(keys.receive))
    guard case .join(let join)? = try request.withUnsafeBytes({ try ControlMessage.decode($0) }) else {
      throw Failure.notAuthentic
    }
    return join
  }

  /// The key that the relay proved to have.
  public private(set) var relayKey: PublicKey?
  /// The network that the relay has told with that.
  public private(set) var network: NetworkNotice?

  /// The next frame.
  public func receive(within limit: Duration = generousWait) throws -> ReceivedFrame {
    let deadline = Instant.now().advanced(by: limit)
    while true {
      if let frame = try takeFrame() { return frame }
      guard try readMore(deadline) else { throw Failure.closed }
    }
  }

  /// Whether the other end closes the connection, whatever it sends before that.
  public func waitForEnd(within limit: Duration = generousWait) -> Bool {
    let deadline = Instant.now().advanced(by: limit)
    do {
      while try readMore(deadline) { buffer.removeAll() }
      return true
    } catch {
      return error as? Failure == nil
    }
  }

  private func takeFrame() throws -> ReceivedFrame? {
    let scan = try buffer.withUnsafeBytes { try FrameScan($0.bytes, at: 0) }
    guard case .frame(let header) = scan else { return nil }
    defer { buffer.removeFirst(header.frameSize) }
    guard receiving != nil, header.type.isSealedByLink else {
      return ReceivedFrame(header: header, payload: Array(buffer[FrameHeader.size..<header.frameSize]))
    }
    var frame = Array(buffer[..<header.frameSize])
    guard frame.withUnsafeMutableBytes({ receiving!.open($0) }) else { throw Failure.notAuthentic }
    let plain = frame[FrameHeader.size..<header.frameSize - TransportCipher.tagSize]
    var opened = header
    opened.length = plain.count
    return ReceivedFrame(header: opened, payload: Array(plain))
  }

  /// False: the stream has ended.
  private func readMore(_ deadline: Instant) throws -> Bool {
    let chunk = RawBuffer(count: 64 << 10)
    while true {
      if let count = try descriptor.read(into: chunk.bytes) {
        buffer.append(contentsOf: chunk.bytes[..<count])
        return count > 0
      }
      try waitFor(POLLIN, deadline)
    }
  }

  private func waitFor(_ event: CInt, _ deadline: Instant) throws {
    var entry = pollfd(fd: descriptor.raw, events: Int16(event), revents: 0)
    let left = deadline.since(.now()).nanoseconds / 1_000_000
    if poll(&entry, 1, CInt(clamping: left)) == 0 { throw Failure.timeout }
  }
}
