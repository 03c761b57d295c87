internal import CLinux
internal import Glibc

/// The addresses at which others may reach this host, as far as the host can tell: NAT may change them.
public enum HostAddresses {
  /// Numeric addresses without a port, IPv4 first: the source addresses of packets for the Internet; without such a
  /// route, all addresses. Leaves out loopback and link-local addresses. Sends nothing.
  public static func reachable() -> [(host: String, isIPv6: Bool)] {
    let sources = rootServers.compactMap { SocketAddress(numeric: $0, port: 53).flatMap(source(towards:)) }
    let addresses = sources.filter(isWorthNaming)
    return (addresses.isEmpty ? interfaces().filter(isWorthNaming) : addresses).map { ($0.host, $0.isIPv6) }
  }

  /// Whether an interface of this host has the address, whatever the port.
  public static func include(_ address: SocketAddress) -> Bool {
    interfaces().contains { $0.isIPv6 == address.isIPv6 && $0.bytes == address.bytes }
  }

  /// Addresses in the Internet (a.root-servers.net).
  private static let rootServers = ["198.41.0.4", "2001:503:ba3e::2:30"]

  /// The source address that the kernel would choose: connecting a datagram socket looks the route up, and sends
  /// nothing.
  private static func source(towards target: SocketAddress) -> SocketAddress? {
    guard let socket = try? Descriptor(socket: target.isIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM) else { return nil }
    // IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC: no temporary privacy address (RFC 5014).
    if target.isIPv6 { try? socket.setOption(CInt(IPPROTO_IPV6), 72, CInt(2)) }
    guard target.withSockaddr({ connect(socket.raw, $0, target.length) }) == 0 else { return nil }
    return try? socket.boundAddress()
  }

  private static func interfaces() -> [SocketAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var found: [SocketAddress] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr else { continue }
      switch CInt(address.pointee.sa_family) {
      case AF_INET: found.append(SocketAddress(address, length: socklen_t(MemoryLayout<sockaddr_in>.size)))
      case AF_INET6: found.append(SocketAddress(address, length: socklen_t(MemoryLayout<sockaddr_in6>.size)))
      default: continue
      }
    }
    return found.filter { !$0.isIPv6 } + found.filter(\.isIPv6)
  }

  private static func isWorthNaming(_ address: SocketAddress) -> Bool {
    let linkLocal = address.isIPv6 ? ["fe8", "fe9", "fea", "feb"] : ["169.254."]
    return !address.isLoopback && !linkLocal.contains { address.host.hasPrefix($0) }
  }
}
