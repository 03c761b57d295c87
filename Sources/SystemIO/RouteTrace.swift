internal import CLinux
internal import Glibc

/// Finds the routers between this host and another, as far as they tell: datagrams that may pass only so many of them come
/// back as errors, which a program without any rights gets to see (IP_RECVERR of ip(7), IPV6_RECVERR of ipv6(7)).
public enum RouteTrace {
  /// The ports from here on, one for each number of routers, are those that traceroute uses.
  private static let firstPort: UInt16 = 33_434

  /// The addresses of the routers towards `target`, the nearest first, up to the first that does not answer or the `limit`th.
  /// Blocks until they are known or `deadline`. Sends `limit` small datagrams to `target`.
  public static func routers(towards target: SocketAddress, limit: Int, until deadline: Instant) -> [SocketAddress] {
    let family = target.isIPv6 ? AF_INET6 : AF_INET
    let type = CInt(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    guard let socket = try? Descriptor(owning: checked { socket(family, type, 0) }),
      clinux_keep_errors(socket.raw, family) == 0
    else { return [] }
    for hops in 1...limit {
      guard clinux_set_hop_limit(socket.raw, family, CInt(hops)) == 0 else { return [] }
      send(to: target.with(port: firstPort + UInt16(hops)), from: socket)
    }
    var found: [Int: SocketAddress] = [:]
    // Routers farther away than whoever has not passed the datagram on are none.
    var end = limit + 1
    // Errors are told unasked; what else may come is not waited for.
    while (1..<end).contains(where: { found[$0] == nil }), Instant.now() < deadline,
      (try? socket.wait(for: [], until: deadline)) == true
    {
      _ = socket.takeSocketError()
      // Anybody may have made up what comes.
      while let (hops, router) = takeReport(from: socket) {
        guard (1...limit).contains(hops) else { continue }
        if let router { found[hops] = router } else { end = min(end, hops) }
      }
    }
    return Array((1..<end).lazy.map { found[$0] }.prefix { $0 != nil }.compactMap { $0 })
  }

  private static func send(to target: SocketAddress, from socket: borrowing Descriptor) {
    var nothing: UInt8 = 0
    // The error of an earlier one may be told here instead of by the queue, and once only.
    for _ in 0..<2 where target.withSockaddr({ sendto(socket.raw, &nothing, 1, 0, $0, target.length) }) >= 0 { return }
  }

  /// The next error: of the datagram that might pass so many routers, and the router that did not pass it on; `nil` in its
  /// place if it came to its end.
  private static func takeReport(from socket: borrowing Descriptor) -> (hops: Int, router: SocketAddress?)? {
    var (destination, reporter) = (sockaddr_storage(), sockaddr_storage())
    let result = clinux_read_error(socket.raw, &destination, &reporter)
    guard result >= 0 else { return nil }
    let length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let port = SocketAddress(storage: destination, length: length).port
    let router = SocketAddress(storage: reporter, length: length)
    return (Int(port) - Int(firstPort), result == 1 && router.isInternet ? router : nil)
  }
}
