internal import CLinux
internal import Glibc
public import SystemPackage

/// Finds out whether another host's kernel answers packets: by an ICMP echo, if this process may send one
/// (net.ipv4.ping_group_range), and by connecting to a port where nobody is expected. Needs no right.
public enum PacketProbe {
  public enum Answer: Sendable, Equatable {
    /// The other kernel answers.
    case answered
    /// It answered a small packet, and none of this many bytes.
    case answeredSmall(Int)
    /// This host, or one on the path, refuses.
    case refused(Errno)
    /// Nothing came, neither to the echo, if one was sent, nor to the connection attempt.
    case silent(triedEcho: Bool)
  }

  /// Discard (RFC 863): hardly anybody listens there, and a listener does not mind.
  private static let port: UInt16 = 9
  private static let resendInterval = Duration.milliseconds(400)
  private static let pollInterval = Duration.milliseconds(20)

  /// Blocks until an answer or `deadline`. `target` is an address of either family; its port does not matter. After the
  /// answer to a small echo request, it sends one of `mtu` bytes, headers included.
  public static func probe(_ target: SocketAddress, mtu: Int? = nil, until deadline: Instant) -> Answer {
    let echo = Echo(target)
    let attempt: TCPSocket
    do {
      attempt = try TCPSocket(connectingTo: target.with(port: port))
    } catch {
      return .refused(error)
    }
    var (nextEcho, hasConnected) = (Instant(nanoseconds: 0), false)
    /// The time limit of the small echo, once the connection attempt has shown that the other kernel answers.
    var echoDeadline: Instant?
    while true {
      let now = Instant.now()
      if let echoDeadline, now >= echoDeadline { return .answered }
      guard now < deadline else { return echoDeadline == nil ? .silent(triedEcho: echo.hasSent) : .answered }
      if now >= nextEcho {
        do { try echo.send() } catch { return .refused(error) }
        nextEcho = now.advanced(by: resendInterval)
      }
      if echo.answer() != nil {
        guard let mtu, mtu > echo.headers else { return .answered }
        return isAnswered(echo, size: mtu, until: deadline) ? .answered : .answeredSmall(mtu)
      }
      if hasConnected {
        sleep(for: pollInterval)
      } else if (try? attempt.descriptor.wait(for: .writable, until: now.advanced(by: pollInterval))) == true {
        hasConnected = true
        switch attempt.descriptor.takeSocketError() {
        case nil, .connectionRefused?, .connectionReset?:
          guard echo.hasSent, mtu != nil else { return .answered }
          echoDeadline = now.advanced(by: resendInterval)
        case let error? where error != .timedOut: return .refused(error)
        default: break
        }
      }
    }
  }

  private static func isAnswered(_ echo: borrowing Echo, size: Int, until deadline: Instant) -> Bool {
    var nextEcho = Instant(nanoseconds: 0)
    while true {
      let now = Instant.now()
      guard now < deadline else { return false }
      if now >= nextEcho {
        // A packet that this host does not send says nothing about the path.
        do { try echo.send(size: size) } catch { return true }
        nextEcho = now.advanced(by: resendInterval)
      }
      if let answer = echo.answer(), answer + echo.headers >= size { return true }
      sleep(for: pollInterval)
    }
  }

  /// Sends ICMP echo requests of the target's family by an ICMP socket (icmp(7)); does nothing if this process may not
  /// have one.
  private struct Echo: ~Copyable {
    private let socket: Descriptor?
    private let raw: CInt
    private let target: SocketAddress

    init(_ target: SocketAddress) {
      let number = CInt(target.isIPv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)
      if let socket = try? Descriptor(socket: target.isIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, protocol: number) {
        raw = socket.raw
        self.socket = consume socket
      } else {
        raw = -1
        socket = nil
      }
      self.target = target.with(port: 0)
    }

    var hasSent: Bool { raw >= 0 }

    /// Of IP and ICMP, in bytes.
    var headers: Int { target.isIPv6 ? 48 : 28 }

    /// Sends a request of `size` bytes, headers of IP and ICMP included; `nil`: as short as possible.
    borrowing func send(size: Int? = nil) throws(Errno) {
      guard hasSent else { return }
      // Code 0; the kernel fills in checksum and identifier.
      let padding = [UInt8](repeating: 0, count: max(0, (size ?? 0) - headers))
      let request: [UInt8] = [target.isIPv6 ? 128 : 8, 0, 0, 0, 0, 0, 0, 1] + padding
      // Other errors may be those of an earlier request; only the answer counts.
      if target.send(request, from: raw) < 0, errno == EPERM || errno == EMSGSIZE { throw Errno(rawValue: errno) }
    }

    /// The number of bytes after the ICMP header of an answer; `nil`: no answer has arrived.
    borrowing func answer() -> Int? {
      guard hasSent else { return nil }
      var answer = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(raw, &answer, answer.count, 0)
      return count >= 8 && answer[0] == (target.isIPv6 ? 129 : 0) ? count - 8 : nil
    }
  }
}

/// Finds the routers on the path to another host: datagrams with small hop limits come back as errors, which a program
/// without any right can read (IP_RECVERR of ip(7), IPV6_RECVERR of ipv6(7)).
public enum RouteTrace {
  /// The first of traceroute's ports; there is one for each hop limit.
  private static let firstPort: UInt16 = 33_434

  /// The addresses of the routers towards `target`, the nearest first, up to the first that does not answer or the
  /// `limit`th. Blocks until they are known or `deadline`. Sends `limit` small datagrams to `target`.
  public static func routers(towards target: SocketAddress, limit: Int, until deadline: Instant) -> [SocketAddress] {
    let (level, errors, hopLimit) =
      target.isIPv6
      ? (CInt(IPPROTO_IPV6), IPV6_RECVERR, IPV6_UNICAST_HOPS) : (CInt(IPPROTO_IP), IP_RECVERR, IP_TTL)
    guard let socket = try? Descriptor(socket: target.isIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM),
      (try? socket.setOption(level, errors, CInt(1))) != nil
    else { return [] }
    for hops in 1...limit {
      guard (try? socket.setOption(level, hopLimit, CInt(hops))) != nil else { return [] }
      let router = target.with(port: firstPort + UInt16(hops))
      // The first call may return the error of an earlier datagram.
      if router.send([0], from: socket.raw) < 0 { _ = router.send([0], from: socket.raw) }
    }
    var found: [Int: SocketAddress] = [:]
    /// The hop limit at which a datagram reached its target.
    var end = limit + 1
    while (1..<end).contains(where: { found[$0] == nil }), Instant.now() < deadline,
      // Errors wake the socket in any case; other packets must not.
      (try? socket.wait(for: [], until: deadline)) == true
    {
      _ = socket.takeSocketError()
      // Anybody may forge what arrives here.
      while let (hops, router) = takeReport(from: socket) {
        guard (1...limit).contains(hops) else { continue }
        if let router { found[hops] = router } else { end = min(end, hops) }
      }
    }
    return Array((1..<end).lazy.map { found[$0] }.prefix { $0 != nil }.compactMap { $0 })
  }

  /// The next error: the hop limit of its datagram, and the router that did not pass it on; `nil` in its place if the
  /// datagram reached the target.
  private static func takeReport(from socket: borrowing Descriptor) -> (hops: Int, router: SocketAddress?)? {
    var (destination, reporter) = (sockaddr_storage(), sockaddr_storage())
    let result = clinux_read_error(socket.raw, &destination, &reporter)
    guard result >= 0 else { return nil }
    let router = SocketAddress(storage: reporter)
    return (
      Int(SocketAddress(storage: destination).port) - Int(firstPort), result == 1 && router.isInternet ? router : nil
    )
  }
}
