internal import CLinux
internal import Glibc
public import SystemPackage

/// A listening TCP socket.
public struct TCPListener: ~Copyable, Sendable {
  public let descriptor: Descriptor
  /// With the port that the kernel chose if 0 was asked for.
  public let address: SocketAddress
  /// Whether this host lacked the address when the socket was made. Connections come once it has it.
  public let isAwaitingAddress: Bool

  /// Listens on `address`; `[::]` takes IPv4 connections too. At most `backlog` connections wait to be accepted, or the
  /// system's limit (net.core.somaxconn): a client that finds no place tries again only a second later.
  ///
  /// With `mayAwaitAddress`, this host need not have the address yet.
  public init(on address: SocketAddress, backlog: CInt = 4096, mayAwaitAddress: Bool = false) throws(Errno) {
    let socket = try Descriptor(socket: address.isIPv6 ? AF_INET6 : AF_INET, SOCK_STREAM)
    try socket.setOption(SOL_SOCKET, SO_REUSEADDR, CInt(1))
    if address.isIPv6 { try socket.setOption(CInt(IPPROTO_IPV6), IPV6_V6ONLY, CInt(0)) }
    let isAwaiting = try socket.bind(to: address, mayAwaitAddress: mayAwaitAddress)
    try checked { listen(socket.raw, backlog) }
    let bound = try socket.boundAddress()
    descriptor = socket
    self.address = bound
    isAwaitingAddress = isAwaiting
  }

  /// The next connection, or `nil` if none waits. Skips connections that broke; throws when the process runs out of
  /// descriptors or memory.
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

/// A TCP connection, non-blocking, and the address of its other end.
public struct TCPSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor
  public let peer: SocketAddress

  fileprivate init(descriptor: consuming Descriptor, peer: SocketAddress) {
    self.descriptor = descriptor
    self.peer = peer
  }

  /// Begins to connect. The descriptor becomes writable when that has ended, and `takeSocketError` tells how. Neither
  /// end sends segments of more than `maximumSegment` bytes: the handshake tells the other end.
  public init(connectingTo peer: SocketAddress, maximumSegment: Int? = nil) throws(Errno) {
    let socket = try Descriptor(socket: peer.isIPv6 ? AF_INET6 : AF_INET, SOCK_STREAM)
    if let maximumSegment { try socket.setOption(tcp, TCP_MAXSEG, CInt(clamping: maximumSegment)) }
    do {
      try checked { peer.withSockaddr { connect(socket.raw, $0, peer.length) } }
    } catch {
      if error.rawValue != EINPROGRESS { throw error }
    }
    self.init(descriptor: socket, peer: peer)
  }

  /// Gives up the wrapper for the bare descriptor.
  public consuming func takeDescriptor() -> Descriptor { descriptor }
}

/// What a connection that carries frames asks of TCP.
public struct TCPTuning: Sendable {
  /// How many unsent bytes the kernel may hold; the rest waits where it can still be dropped.
  public var unsentLimit: CInt
  /// How long data may stay unacknowledged before the connection counts as dead.
  public var userTimeout: Duration

  public init(unsentLimit: CInt, userTimeout: Duration) {
    self.unsentLimit = unsentLimit
    self.userTimeout = userTimeout
  }
}

private let tcp = CInt(IPPROTO_TCP)

// Other sockets than TCP's are left as they are.
extension Descriptor {
  /// Sends segments at once (TCP_NODELAY) and applies `tuning`.
  public borrowing func tune(_ tuning: TCPTuning) throws(Errno) {
    let domain = try option(SOL_SOCKET, SO_DOMAIN)
    guard domain == AF_INET || domain == AF_INET6 else { return }
    try setOption(tcp, TCP_NODELAY, CInt(1))
    try setOption(tcp, TCP_NOTSENT_LOWAT, tuning.unsentLimit)
    try setOption(tcp, TCP_USER_TIMEOUT, CInt(clamping: tuning.userTimeout.nanoseconds / 1_000_000))
  }

  /// How many sent bytes the other end has not taken yet; for TCP, not acknowledged. Zero if the connection is broken.
  public borrowing func undelivered() -> Int {
    max(0, Int(clinux_undelivered(raw)))
  }

  /// How many bytes the kernel holds that it has not sent once.
  public borrowing func unsent() -> Int {
    countCall(.tuning)
    return max(0, Int(clinux_unsent(raw)))
  }

  /// The kernel's name for the congestion control of this connection; `nil` if it is no TCP connection.
  public borrowing func congestionControl() -> String? {
    countCall(.tuning)
    return filledText(16) { text in
      var length: socklen_t = 16
      return getsockopt(raw, tcp, TCP_CONGESTION, text, &length) == 0
    }
  }

  /// Changes the congestion control. False: the kernel has none of that name, this process may not use it, or this is
  /// no TCP connection.
  public borrowing func setCongestionControl(_ name: String) -> Bool {
    countCall(.tuning)
    return name.withCString { setsockopt(raw, tcp, TCP_CONGESTION, $0, socklen_t(strlen($0))) == 0 }
  }

  /// Changes `TCPTuning.unsentLimit`, in bytes.
  public borrowing func setUnsentLimit(_ limit: Int) {
    countCall(.tuning)
    try? setOption(tcp, TCP_NOTSENT_LOWAT, CInt(clamping: limit))
  }

  /// Changes `TCPTuning.userTimeout`.
  public borrowing func setUserTimeout(_ limit: Duration) {
    try? setOption(tcp, TCP_USER_TIMEOUT, CInt(clamping: limit.nanoseconds / 1_000_000))
  }

  /// What the kernel knows of an established connection (TCP_INFO); `nil` if this is no TCP connection.
  public borrowing func tcpPath() -> TCPPath? {
    countCall(.tuning)
    var facts = clinux_tcp_facts()
    guard clinux_tcp_facts(raw, &facts) == 0 else { return nil }
    var path = TCPPath(
      segment: Int(facts.segment), mtu: Int(facts.path), roundTrip: .microseconds(Int64(facts.round_trip)))
    path.variation = .microseconds(Int64(facts.variation))
    path.rate = facts.delivery_rate
    path.mayBeFaster = facts.may_be_faster != 0
    path.timeouts = Int(facts.timeouts)
    path.acknowledged = .milliseconds(Int64(facts.acknowledged))
    path.outOfOrder = Int(facts.out_of_order)
    return path
  }
}

/// What the kernel knows of a TCP connection's path.
public struct TCPPath: Sendable, Equatable {
  /// The largest segment that this end sends, in bytes without headers.
  public var segment: Int
  /// The path's MTU in bytes, as far as the kernel knows: the interface's, until a router says less.
  public var mtu: Int
  /// Smoothed.
  public var roundTrip: Duration
  /// How much the round trip varies.
  public var variation = Duration.zero
  /// The rate of delivery in bytes a second, as the kernel measured it last.
  public var rate: UInt64 = 0
  /// Whether the rate may be higher: there was not always data to send.
  public var mayBeFaster = false
  /// How often in a row the retransmission timer has expired for the oldest unacknowledged data.
  public var timeouts = 0
  /// The time since the last acknowledgment, even one that acknowledged nothing new.
  public var acknowledged = Duration.zero
  /// How many segments have arrived after a missing one.
  public var outOfOrder = 0

  public init(segment: Int, mtu: Int, roundTrip: Duration) {
    self.segment = segment
    self.mtu = mtu
    self.roundTrip = roundTrip
  }

  /// The round trip that almost no packet exceeds, computed as for a retransmission timer (RFC 6298).
  public var longRoundTrip: Duration { roundTrip + variation * 4 }
}
