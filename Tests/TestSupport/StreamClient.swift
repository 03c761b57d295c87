public import SystemIO
internal import SystemPackage

/// A client of a stream server on loopback, which waits for what it sends and receives.
public final class StreamClient: Sendable {
  private let socket: Descriptor

  public init(to address: SocketAddress) throws {
    socket = try TCPSocket(connectingTo: address).takeDescriptor()
    _ = try socket.wait(for: .writable, until: Instant.now().advanced(by: generousWait))
    if let error = socket.takeSocketError() { throw error }
  }

  public func send(_ bytes: some Sequence<UInt8>) throws {
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      _ = try socket.wait(for: .writable, until: Instant.now().advanced(by: generousWait))
      let count = try rest.withUnsafeBytes { try socket.send($0) } ?? 0
      rest = rest.dropFirst(count)
    }
  }

  /// So many bytes; fewer if the other end closes before, or sends nothing for a generous wait.
  public func receive(_ count: Int = .max) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let buffer = RawBuffer(count: 4096)
    while bytes.count < count, try socket.wait(for: .readable, until: Instant.now().advanced(by: generousWait)) {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<min(4096, count - bytes.count)])
      guard let read = try socket.read(into: room) else { continue }
      if read == 0 { break }
      bytes += buffer.bytes[..<read]
    }
    return bytes
  }

  public func shutDownSending() { socket.shutDownSending() }
}
