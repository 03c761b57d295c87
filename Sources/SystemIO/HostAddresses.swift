internal import CLinux
internal import Glibc

/// Where others may find this host, as far as it can tell by itself. What a router in front of it does, it cannot.
public enum HostAddresses {
  /// Numeric addresses without a port, IPv4 first: the ones that packets for the Internet leave from; on a host without
  /// such a route, all that it has. Loopback and link-local addresses are never among them. Nothing is sent.
  public static func reachable() -> [(host: String, isIPv6: Bool)] {
    let sources = rootServers.compactMap { SocketAddress(numeric: $0, port: 53).flatMap(source(towards:)) }
    let addresses = sources.filter(isWorthNaming)
    return (addresses.isEmpty ? interfaces().filter(isWorthNaming) : addresses).map { ($0.host, $0.isIPv6) }
  }

  /// Whether an interface of this host has the address, whatever the port.
  public static func include(_ address: SocketAddress) -> Bool {
    interfaces().contains { $0.isIPv6 == address.isIPv6 && $0.bytes == address.bytes }
  }

  /// Places that are surely in the Internet (a.root-servers.net).
  private static let rootServers = ["198.41.0.4", "2001:503:ba3e::2:30"]

  /// The address that the kernel would send from: connecting a datagram socket only looks the route up.
  private static func source(towards target: SocketAddress) -> SocketAddress? {
    let family = target.isIPv6 ? AF_INET6 : AF_INET
    let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard let socket = try? Descriptor(owning: checked { socket(family, type, 0) }) else { return nil }
    if target.isIPv6 {
      // IPV6_ADDR_PREFERENCES: not one of the addresses that are given up after a while for privacy (RFC 5014).
      var preferPublic: CInt = 2
      setsockopt(socket.raw, CInt(IPPROTO_IPV6), 72, &preferPublic, socklen_t(MemoryLayout<CInt>.size))
    }
    guard target.withSockaddr({ connect(socket.raw, $0, target.length) }) == 0 else { return nil }
    let (result, address) = SocketAddress.filled { getsockname(socket.raw, $0, $1) }
    return result == 0 ? address : nil
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
      let length: Int
      switch CInt(address.pointee.sa_family) {
      case AF_INET: length = MemoryLayout<sockaddr_in>.size
      case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
      default: continue
      }
      var storage = sockaddr_storage()
      withUnsafeMutableBytes(of: &storage) {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: length))
      }
      found.append(SocketAddress(storage: storage, length: socklen_t(length)))
    }
    return found.filter { !$0.isIPv6 } + found.filter(\.isIPv6)
  }

  private static func isWorthNaming(_ address: SocketAddress) -> Bool {
    let host = address.host
    let beginnings = address.isIPv6 ? ["fe8", "fe9", "fea", "feb"] : ["127.", "169.254."]
    return host != "::1" && !beginnings.contains { host.hasPrefix($0) }
  }
}
