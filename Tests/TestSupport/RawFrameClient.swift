internal import Glibc
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
  }

  private let descriptor: Descriptor
  private var buffer: [UInt8] = []

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

  public func send(_ message: ControlMessage, as type: FrameType = .control) throws {
    try send(message.frame(type))
  }

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
    return ReceivedFrame(header: header, payload: Array(buffer[FrameHeader.size..<header.frameSize]))
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
