internal import CLinux
internal import Glibc
public import SystemPackage

/// A listening TCP socket.
public struct TCPListener: ~Copyable, Sendable {
  public let descriptor: Descriptor
  /// Where it listens, with the port that the kernel chose if 0 was asked for.
  public let address: SocketAddress
  /// Whether this host had no such address when the socket was made. Connections come once it has.
  public let isAwaitingAddress: Bool

  /// Listens on `address`. `[::]` takes IPv4 connections too. At most `backlog` connections wait to be taken, or what the
  /// system allows (net.core.somaxconn): who finds no place comes back a second later, so a crowd needs one.
  ///
  /// `mayAwaitAddress`: an address that this host does not have yet is no error.
  public init(on address: SocketAddress, backlog: CInt = 4096, mayAwaitAddress: Bool = false) throws(Errno) {
    let socket = try openSocket(family: address.isIPv6 ? AF_INET6 : AF_INET)
    try setOption(socket, SOL_SOCKET, SO_REUSEADDR, 1)
    if address.isIPv6 { try setOption(socket, CInt(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
    let isAwaiting = try socket.bind(to: address, mayAwaitAddress: mayAwaitAddress)
    try checked { listen(socket.raw, backlog) }
    let (result, bound) = SocketAddress.filled { getsockname(socket.raw, $0, $1) }
    try checked { result }
    self.descriptor = socket
    self.address = bound
    isAwaitingAddress = isAwaiting
  }

  /// The next connection, or `nil` if none waits. Errors of one connection (it is gone already) are skipped;
  /// running out of descriptors or memory is thrown.
  public borrowing func accept() throws(Errno) -> TCPSocket? {
    while true {
      if isInterrupted() { continue }
      if wouldBlock(descriptor.raw) { return nil }
      let (result, peer) = SocketAddress.filled { clinux_accept(descriptor.raw, $0, $1) }
      if result >= 0 { return TCPSocket(descriptor: Descriptor(owning: result), peer: peer) }
      switch -result {
      case EAGAIN: return nil
      case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH:
        continue
      default: throw Errno(rawValue: -result)
      }
    }
  }
}

extension Descriptor {
  /// Binds a socket. With `mayAwaitAddress`, this host need not have the address yet. Returns true if it does not.
  borrowing func bind(to address: SocketAddress, mayAwaitAddress: Bool) throws(Errno) -> Bool {
    do {
      try checked { address.withSockaddr { Glibc.bind(raw, $0, address.length) } }
      return false
    } catch {
      guard error == .addressNotAvailable, mayAwaitAddress else { throw error }
      try setOption(
        self, CInt(address.isIPv6 ? IPPROTO_IPV6 : IPPROTO_IP), address.isIPv6 ? IPV6_FREEBIND : IP_FREEBIND, 1)
      try checked { address.withSockaddr { Glibc.bind(raw, $0, address.length) } }
      return true
    }
  }
}

/// A TCP connection, non-blocking, and who is at its other end.
public struct TCPSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor
  public let peer: SocketAddress

  init(descriptor: consuming Descriptor, peer: SocketAddress) {
    self.descriptor = descriptor
    self.peer = peer
  }

  /// Begins to connect; the descriptor becomes writable when that has ended, and `takeSocketError` tells how. Neither
  /// end sends segments of more than `maximumSegment` bytes: TCP's handshake tells the other end, so it is set before.
  public init(connectingTo peer: SocketAddress, maximumSegment: Int? = nil) throws(Errno) {
    let socket = try openSocket(family: peer.isIPv6 ? AF_INET6 : AF_INET)
    if let maximumSegment { try setOption(socket, CInt(IPPROTO_TCP), TCP_MAXSEG, CInt(clamping: maximumSegment)) }
    do {
      try checked { peer.withSockaddr { connect(socket.raw, $0, peer.length) } }
    } catch {
      if error.rawValue != EINPROGRESS { throw error }
    }
    self.descriptor = socket
    self.peer = peer
  }

  /// Gives up the wrapper for the bare descriptor.
  public consuming func takeDescriptor() -> Descriptor { descriptor }
}

/// What a connection carrying frames asks of TCP.
public struct TCPTuning: Sendable {
  /// How many bytes the kernel may hold that it has not sent yet; the rest waits where it can still be dropped.
  public var unsentLimit: CInt
  /// How long data may stay unacknowledged before the connection counts as dead.
  public var userTimeout: Duration

  public init(unsentLimit: CInt, userTimeout: Duration) {
    self.unsentLimit = unsentLimit
    self.userTimeout = userTimeout
  }
}

extension Descriptor {
  /// Sends segments at once (TCP_NODELAY) and applies `tuning`. Sockets that are not TCP are left as they are.
  public borrowing func tune(_ tuning: TCPTuning) throws(Errno) {
    var domain: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    try checked { getsockopt(raw, SOL_SOCKET, SO_DOMAIN, &domain, &length) }
    guard domain == AF_INET || domain == AF_INET6 else { return }
    let tcp = CInt(IPPROTO_TCP)
    try setOption(self, tcp, TCP_NODELAY, 1)
    try setOption(self, tcp, TCP_NOTSENT_LOWAT, tuning.unsentLimit)
    try setOption(self, tcp, TCP_USER_TIMEOUT, CInt(clamping: tuning.userTimeout.nanoseconds / 1_000_000))
  }

  /// How many of the bytes sent the other end has not taken yet: of a TCP connection, those not acknowledged. Zero if the
  /// connection is broken.
  public borrowing func undelivered() -> Int {
    max(0, Int(clinux_undelivered(raw)))
  }

  /// How many bytes the kernel holds that it has not sent once; 0 if this is no TCP connection.
  public borrowing func unsent() -> Int {
    countCall(.tuning)
    return max(0, Int(clinux_unsent(raw)))
  }

  /// By what name the kernel knows the congestion control of this connection; `nil` if it is no TCP connection.
  public borrowing func congestionControl() -> String? {
    countCall(.tuning)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 17) { name in
      name.initialize(repeating: 0)
      var length = socklen_t(name.count - 1)
      guard getsockopt(raw, CInt(IPPROTO_TCP), TCP_CONGESTION, name.baseAddress, &length) == 0 else { return nil }
      return String(cString: name.baseAddress!)
    }
  }

  /// Has the kernel use this congestion control from now on. False: it has none of that name, does not let this process have
  /// it, or this is no TCP connection.
  public borrowing func setCongestionControl(_ name: String) -> Bool {
    countCall(.tuning)
    return name.withCString { setsockopt(raw, CInt(IPPROTO_TCP), TCP_CONGESTION, $0, socklen_t(strlen($0))) == 0 }
  }

  /// Changes `TCPTuning.unsentLimit`, in bytes. No effect on what is no TCP connection.
  public borrowing func setUnsentLimit(_ limit: Int) {
    countCall(.tuning)
    try? setOption(self, CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, CInt(clamping: limit))
  }

  /// Changes `TCPTuning.userTimeout`. No effect on what is no TCP connection.
  public borrowing func setUserTimeout(_ limit: Duration) {
    try? setOption(self, CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, CInt(clamping: limit.nanoseconds / 1_000_000))
  }

  /// The address that this end of a connection has; `nil` if it is none of the Internet.
  public borrowing func localAddress() -> SocketAddress? {
    let (result, address) = SocketAddress.filled { getsockname(raw, $0, $1) }
    return result == 0 && address.isInternet ? address : nil
  }

  /// The address of the other end; `nil` if there is none, or none of the Internet.
  public borrowing func peerAddress() -> SocketAddress? {
    let (result, address) = SocketAddress.filled { getpeername(raw, $0, $1) }
    return result == 0 && address.isInternet ? address : nil
  }

  /// The error that a connection attempt or a broken connection left, cleared by reading it; `nil` if there is none.
  public borrowing func takeSocketError() -> Errno? {
    var error: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    guard getsockopt(raw, SOL_SOCKET, SO_ERROR, &error, &length) == 0 else { return Errno(rawValue: errno) }
    return error == 0 ? nil : Errno(rawValue: error)
  }

  /// Ends the connection in both directions while the descriptor stays open, so that its loop sees a hang-up.
  public borrowing func shutDown() {
    _ = Glibc.shutdown(raw, CInt(SHUT_RDWR))
  }

  /// Tells the other end that nothing more comes; what it sends can be read still.
  public borrowing func shutDownSending() {
    _ = Glibc.shutdown(raw, CInt(SHUT_WR))
  }
}

private func openSocket(family: CInt) throws(Errno) -> Descriptor {
  let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
  return Descriptor(owning: try checked { socket(family, type, 0) })
}

private func setOption(
  _ socket: borrowing Descriptor, _ level: CInt, _ name: CInt, _ value: CInt
) throws(Errno) {
  var value = value
  try checked { setsockopt(socket.raw, level, name, &value, socklen_t(MemoryLayout<CInt>.size)) }
}
