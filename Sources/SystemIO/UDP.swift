internal import CLinux
internal import Glibc
public import SystemPackage

/// A UDP socket at one address of this host, non-blocking.
public struct UDPSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor
  /// Where it is, with the port that the kernel chose if 0 was asked for.
  public let address: SocketAddress

  /// `mayAwaitAddress`: an address that this host does not have yet is no error; datagrams come once it has.
  public init(on address: SocketAddress, mayAwaitAddress: Bool = false) throws(Errno) {
    let type = CInt(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let socket = Descriptor(
      owning: try checked { Glibc.socket(address.isIPv6 ? AF_INET6 : AF_INET, type, 0) })
    _ = try socket.bind(to: address, mayAwaitAddress: mayAwaitAddress)
    let (result, bound) = SocketAddress.filled { getsockname(socket.raw, $0, $1) }
    try checked { result }
    self.descriptor = socket
    self.address = bound
  }

  /// The next datagram, and who has sent it; `nil` if none waits. What does not fit into `buffer` is cut off.
  public borrowing func receive(
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> (count: Int, source: SocketAddress)? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let count = try nonBlocking(descriptor.raw) {
      length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      return withUnsafeMutableBytes(of: &storage) {
        recvfrom(
          descriptor.raw, buffer.baseAddress, buffer.count, 0,
          $0.assumingMemoryBound(to: sockaddr.self).baseAddress!, &length)
      }
    }
    return count.map { ($0, SocketAddress(storage: storage, length: length)) }
  }

  /// Sends a datagram, or drops it where there is no room.
  public borrowing func send(_ bytes: [UInt8], to destination: SocketAddress) throws(Errno) {
    _ = try nonBlocking(descriptor.raw) {
      bytes.withUnsafeBytes { bytes in
        destination.withSockaddr {
          sendto(descriptor.raw, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL), $0, destination.length)
        }
      }
    }
  }
}

extension SocketAddress {
  /// Whether it is this host's own, 127.0.0.0/8 or ::1.
  public var isLoopback: Bool {
    let bytes = bytes
    return isIPv6 ? bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 : bytes.first == 127
  }
}
