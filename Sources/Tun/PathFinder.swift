internal import CLinux
public import SystemIO
public import SystemPackage

/// The way by which packets to some address leave this host.
public struct NetworkPath: Equatable, Sendable {
  /// The index of the interface.
  public let interface: UInt32
  /// The next router's address in network byte order; empty if the address is on the link.
  public let gateway: [UInt8]
  /// The address that the packets come from, in network byte order.
  public let source: [UInt8]
}

/// Asks the kernel for the ways that it would take (RTM_GETROUTE of rtnetlink(7)); nothing is sent. For one thread at a time.
public struct PathFinder: ~Copyable {
  private var netlink: RouteNetlink

  public init() throws(Errno) {
    netlink = try RouteNetlink()
  }

  /// The way to `address`; `nil` if there is none now.
  public mutating func path(to address: SocketAddress) -> NetworkPath? {
    try? netlink.path(to: address)
  }
}

extension RouteNetlink {
  mutating func path(to address: SocketAddress) throws(NetlinkFailure) -> NetworkPath? {
    let bytes = address.bytes
    var route = rtmsg()
    route.rtm_family = UInt8(address.isIPv6 ? AF_INET6 : AF_INET)
    route.rtm_dst_len = UInt8(bytes.count * 8)
    var message = NetlinkMessage(type: RTM_GETROUTE, flags: 0, body: route)
    message.attribute(Int(RTA_DST.rawValue), bytes: bytes)
    if address.scope != 0 { message.attribute(Int(RTA_OIF.rawValue), address.scope) }
    var path: NetworkPath?
    try request(message) { type, content in
      if Int(type) == RTM_NEWROUTE { path = Self.path(content) }
    }
    return path
  }

  /// What an RTM_NEWROUTE message says of the way; `nil` also for a route that refuses packets, which IPv6 tells as
  /// one.
  private static func path(_ content: RawSpan) -> NetworkPath? {
    guard content.byteCount >= 12,
      ![RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW].contains(Int(content.byte(7)))
    else { return nil }
    var interface: UInt32?
    var (gateway, source): ([UInt8], [UInt8]) = ([], [])
    let isWhole = NetlinkAnswer.attributes(content.extracting(12..<content.byteCount)) { type, value in
      switch Int(type) {
      case Int(RTA_OIF.rawValue) where value.byteCount == 4: interface = value.hostDoubleWord(0)
      // RTA_VIA is a router of the other family.
      case Int(RTA_GATEWAY.rawValue), Int(RTA_VIA.rawValue): gateway = value.withUnsafeBytes { Array($0) }
      case Int(RTA_PREFSRC.rawValue): source = value.withUnsafeBytes { Array($0) }
      default: break
      }
    }
    guard isWhole, let interface else { return nil }
    return NetworkPath(interface: interface, gateway: gateway, source: source)
  }
}
