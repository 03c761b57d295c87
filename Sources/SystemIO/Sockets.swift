internal import CLinux
internal import Glibc
public import SystemPackage

// What sockets of all families share.
extension Descriptor {
  /// Makes a socket, closed on exec and non-blocking unless `isBlocking`.
  init(
    socket family: CInt, _ type: __socket_type, protocol number: CInt = 0, isBlocking: Bool = false
  ) throws(Errno) {
    let mode = isBlocking ? 0 : SOCK_NONBLOCK.rawValue
    try self.init { socket(family, CInt(type.rawValue | mode | SOCK_CLOEXEC.rawValue), number) }
  }

  borrowing func setOption<Value: BitwiseCopyable>(_ level: CInt, _ name: CInt, _ value: Value) throws(Errno) {
    var value = value
    try checked { setsockopt(raw, level, name, &value, socklen_t(MemoryLayout<Value>.size)) }
  }

  borrowing func option(_ level: CInt, _ name: CInt) throws(Errno) -> CInt {
    var value: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    try checked { getsockopt(raw, level, name, &value, &length) }
    return value
  }

  /// Binds a socket. With `mayAwaitAddress`, this host need not have the address yet. Returns true if it does not.
  borrowing func bind(to address: SocketAddress, mayAwaitAddress: Bool) throws(Errno) -> Bool {
    do {
      try checked { address.withSockaddr { Glibc.bind(raw, $0, address.length) } }
      return false
    } catch {
      guard error == .addressNotAvailable, mayAwaitAddress else { throw error }
      if address.isIPv6 {
        try setOption(CInt(IPPROTO_IPV6), IPV6_FREEBIND, CInt(1))
      } else {
        try setOption(CInt(IPPROTO_IP), IP_FREEBIND, CInt(1))
      }
      try checked { address.withSockaddr { Glibc.bind(raw, $0, address.length) } }
      return true
    }
  }

  /// The socket's own address.
  borrowing func boundAddress() throws(Errno) -> SocketAddress {
    let (result, address) = SocketAddress.filled { getsockname(raw, $0, $1) }
    try checked { result }
    return address
  }

  /// The IPv4 or IPv6 address of this end of a connection; `nil` if it has none.
  public borrowing func localAddress() -> SocketAddress? {
    guard let address = try? boundAddress() else { return nil }
    return address.isInternet ? address : nil
  }

  /// The IPv4 or IPv6 address of the other end; `nil` if it has none.
  public borrowing func peerAddress() -> SocketAddress? {
    let (result, address) = SocketAddress.filled { getpeername(raw, $0, $1) }
    return result == 0 && address.isInternet ? address : nil
  }

  /// The error that a connection attempt or a broken connection left; reading clears it. `nil` if there is none.
  public borrowing func takeSocketError() -> Errno? {
    do {
      let error = try option(SOL_SOCKET, SO_ERROR)
      return error == 0 ? nil : Errno(rawValue: error)
    } catch {
      return error
    }
  }

  /// Ends the connection in both directions while the descriptor stays open, so that its loop sees a hang-up.
  public borrowing func shutDown() {
    _ = Glibc.shutdown(raw, CInt(SHUT_RDWR))
  }

  /// Ends the connection in the sending direction alone.
  public borrowing func shutDownSending() {
    _ = Glibc.shutdown(raw, CInt(SHUT_WR))
  }
}

/// A UDP socket at one address of this host, non-blocking.
public struct UDPSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor
  /// With the port that the kernel chose if 0 was asked for.
  public let address: SocketAddress

  /// With `mayAwaitAddress`, this host need not have the address yet; datagrams come once it has.
  public init(on address: SocketAddress, mayAwaitAddress: Bool = false) throws(Errno) {
    let socket = try Descriptor(socket: address.isIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM)
    _ = try socket.bind(to: address, mayAwaitAddress: mayAwaitAddress)
    self.address = try socket.boundAddress()
    descriptor = socket
  }

  /// The next datagram and its sender; `nil` if none waits. What does not fit into `buffer` is cut off.
  public borrowing func receive(
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> (count: Int, source: SocketAddress)? {
    var source = SocketAddress()
    let count = try nonBlocking(descriptor.raw) {
      let (count, address) = SocketAddress.filled {
        recvfrom(descriptor.raw, buffer.baseAddress, buffer.count, 0, $0, $1)
      }
      source = address
      return count
    }
    return count.map { ($0, source) }
  }

  /// Sends a datagram, or drops it if the kernel has no room.
  public borrowing func send(_ bytes: [UInt8], to destination: SocketAddress) throws(Errno) {
    _ = try nonBlocking(descriptor.raw) { destination.send(bytes, from: descriptor.raw) }
  }
}
