internal import CLinux
public import SystemIO
public import SystemPackage
internal import Wire

/// A route that an interface needs, or one that stands for it while it is down.
struct InterfaceRoute: Hashable {
  enum Kind: Hashable {
    /// To a network over the interface, as the kernel makes it for an address: in the main table, without a router.
    case link
    /// To this host's own address, in the local table.
    case local
    /// An `UnreachableRoute`, whatever the interface.
    case unreachable
  }

  let kind: Kind
  let prefix: HostNetwork.Prefix
}

/// A route that refuses packets for a network while no other route takes them: it has the highest metric. It claims to
/// be the kernel's, because systemd-networkd removes all other foreign routes when it configures an interface.
enum UnreachableRoute {
  static let metric = UInt32.max
  /// As rtm_protocol and rtm_type have it (rtnetlink(7)).
  static let rtmProtocol = UInt8(RTPROT_KERNEL)
  static let rtmType = UInt8(RTN_UNREACHABLE)
}

extension RouteNetlink {
  /// The routes of both families that belong to the interface `index`, and all unreachable ones.
  mutating func interfaceRoutes(of index: UInt32) throws(NetlinkFailure) -> Set<InterfaceRoute> {
    let own = try routes { message in
      // The kernel leaves out other routes; before Linux 4.20 it lists all.
      message.attribute(Int(RTA_OIF.rawValue), index)
    } item: { route in
      InterfaceRoute(route, of: index)
    }
    return Set(own).union(try unreachableRoutes())
  }

  mutating func unreachableRoutes() throws(NetlinkFailure) -> Set<InterfaceRoute> {
    Set(
      try routes(type: UnreachableRoute.rtmType) { route in
        InterfaceRoute(route, of: 0).flatMap { $0.kind == .unreachable ? $0 : nil }
      })
  }

  /// What `item` makes of the routes of both families.
  mutating func routes<Item>(
    type: UInt8 = 0, _ filter: (inout NetlinkMessage) -> Void = { _ in }, item: (RouteMessage) -> Item?
  ) throws(NetlinkFailure) -> [Item] {
    try listBothFamilies { family in
      var body = rtmsg()
      body.rtm_family = UInt8(family)
      body.rtm_type = type
      var message = NetlinkMessage(type: RTM_GETROUTE, flags: NLM_F_ROOT | NLM_F_MATCH, body: body)
      filter(&message)
      return message
    } _: { type, content in
      guard Int(type) == RTM_NEWROUTE, let item = RouteMessage(content).flatMap(item) else { return [] }
      return [item]
    }
  }

  /// Adds the route to the network of `address`, which interface `index` has, as the kernel itself does.
  mutating func addLinkRoute(of address: Address, to index: UInt32) throws(NetlinkFailure) {
    let scope = address.host.isIPv6 ? 0 : UInt8(RT_SCOPE_LINK.rawValue)
    var message = Self.routeMessage(RTM_NEWROUTE, address.network, UInt8(RTN_UNICAST), scope: scope)
    message.attribute(Int(RTA_OIF.rawValue), index)
    if address.host.isIPv6 {
      // IP6_RT_PRIO_ADDRCONF
      message.attribute(Int(RTA_PRIORITY.rawValue), UInt32(256))
    } else {
      message.attribute(Int(RTA_PREFSRC.rawValue), bytes: address.host.bytes)
    }
    try add(message)
  }

  mutating func addUnreachableRoute(to prefix: HostNetwork.Prefix) throws(NetlinkFailure) {
    try add(Self.unreachable(RTM_NEWROUTE, prefix))
  }

  mutating func removeUnreachableRoute(to prefix: HostNetwork.Prefix) throws(NetlinkFailure) {
    try request(Self.unreachable(RTM_DELROUTE, prefix))
  }

  private static func unreachable(_ type: Int, _ prefix: HostNetwork.Prefix) -> NetlinkMessage {
    var message = routeMessage(type, prefix, UnreachableRoute.rtmType, scope: 0)
    message.attribute(Int(RTA_PRIORITY.rawValue), UnreachableRoute.metric)
    return message
  }

  /// Adds a route unless it exists. Beside a route of another interface with the same metric it comes second.
  private mutating func add(_ message: NetlinkMessage) throws(NetlinkFailure) {
    do {
      try request(message)
    } catch {
      guard error.error == .fileExists else { throw error }
    }
  }

  private static func routeMessage(
    _ type: Int, _ prefix: HostNetwork.Prefix, _ routeType: UInt8, scope: UInt8
  ) -> NetlinkMessage {
    var route = rtmsg()
    route.rtm_family = UInt8(prefix.isIPv6 ? AF_INET6 : AF_INET)
    route.rtm_dst_len = UInt8(prefix.length)
    route.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
    route.rtm_protocol = UInt8(RTPROT_KERNEL)
    route.rtm_scope = scope
    route.rtm_type = routeType
    let flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_APPEND : 0
    var message = NetlinkMessage(type: type, flags: flags, body: route)
    message.attribute(Int(RTA_DST.rawValue), bytes: prefix.bytes)
    return message
  }
}

/// An RTM_NEWROUTE or RTM_DELROUTE message, of either family.
struct RouteMessage {
  private(set) var type: Int
  /// Of the destination's prefix.
  private(set) var length: Int
  /// Whether the kernel learned the route for one destination, such as a smaller MTU.
  private(set) var isCached: Bool
  /// `nil` for a default route.
  private(set) var destination: HostNetwork.Prefix?
  private(set) var table: UInt32
  /// Of the first of several next hops; 0 if there is none.
  private(set) var interface: UInt32 = 0
  /// The next router's address; empty if there is none, or several.
  private(set) var gateway: [UInt8] = []
  private(set) var source: [UInt8] = []
  private(set) var hasSeveralHops = false
  private var metric: UInt32 = 0
  private var rtmProtocol: UInt8

  var hasRouter: Bool { hasSeveralHops || !gateway.isEmpty }

  init?(_ content: RawSpan) {
    let size = MemoryLayout<rtmsg>.size
    guard content.byteCount >= size, [AF_INET, AF_INET6].contains(CInt(content.byte(0))) else { return nil }
    let addressSize = content.byte(0) == UInt8(AF_INET6) ? 16 : 4
    let length = Int(content.byte(1))
    self.length = length
    type = Int(content.byte(7))
    rtmProtocol = content.byte(5)
    isCached = content.hostDoubleWord(8) & UInt32(RTM_F_CLONED) != 0
    table = UInt32(content.byte(4))
    var found = self
    let isWhole = NetlinkAnswer.attributes(content, from: size) { type, value in
      switch rtattr_type_t(UInt32(type)) {
      case RTA_DST where value.byteCount == addressSize: found.destination = HostNetwork.Prefix(value, length: length)
      case RTA_TABLE: found.table = value.number ?? found.table
      case RTA_OIF: found.interface = value.number ?? found.interface
      case RTA_PRIORITY: found.metric = value.number ?? found.metric
      case RTA_PREFSRC: found.source = value.array
      // RTA_VIA is a router of the other family.
      case RTA_GATEWAY, RTA_VIA: found.gateway = value.array
      case RTA_MULTIPATH where value.byteCount >= 8:
        // The first hop's interface comes after its length and flags.
        found.interface = value.hostDoubleWord(4)
        found.hasSeveralHops = true
      default: break
      }
    }
    guard isWhole else { return nil }
    self = found
  }

  /// Whether it is an `UnreachableRoute`.
  var isKeptUnreachable: Bool {
    type == Int(UnreachableRoute.rtmType) && rtmProtocol == UnreachableRoute.rtmProtocol
      && metric == UnreachableRoute.metric && table == RT_TABLE_MAIN.rawValue
  }
}

extension InterfaceRoute {
  /// `nil` unless it is a route of interface `index` or an unreachable one.
  init?(_ route: RouteMessage, of index: UInt32) {
    guard let destination = route.destination else { return nil }
    let isOwn = route.interface == index && index != 0
    let isMain = route.table == RT_TABLE_MAIN.rawValue
    if route.isKeptUnreachable {
      self.init(kind: .unreachable, prefix: destination)
    } else if isOwn, isMain, route.type == Int(RTN_UNICAST), !route.hasRouter {
      self.init(kind: .link, prefix: destination)
    } else if isOwn, route.type == Int(RTN_LOCAL) {
      self.init(kind: .local, prefix: destination)
    } else {
      return nil
    }
  }
}

// MARK: - The path to an address

/// How packets to an address leave this host.
public struct NetworkPath: Equatable, Sendable {
  /// The index of the interface.
  public let interface: UInt32
  /// The next router's address in network byte order; empty if the address is on the link.
  public let gateway: [UInt8]
  /// The packets' source address in network byte order.
  public let source: [UInt8]
}

/// Asks the kernel which path packets would take (RTM_GETROUTE of rtnetlink(7)); sends nothing. For one thread at a
/// time.
public struct PathFinder: ~Copyable {
  private var netlink: RouteNetlink

  public init() throws(Errno) {
    netlink = try RouteNetlink()
  }

  /// The path to `address`; `nil` if there is none now.
  public mutating func path(to address: SocketAddress) -> NetworkPath? {
    let bytes = address.bytes
    var body = rtmsg()
    body.rtm_family = UInt8(address.isIPv6 ? AF_INET6 : AF_INET)
    body.rtm_dst_len = UInt8(bytes.count * 8)
    var message = NetlinkMessage(type: RTM_GETROUTE, flags: 0, body: body)
    message.attribute(Int(RTA_DST.rawValue), bytes: bytes)
    if address.scope != 0 { message.attribute(Int(RTA_OIF.rawValue), address.scope) }
    var route: RouteMessage?
    try? netlink.request(message) { type, content in
      if Int(type) == RTM_NEWROUTE { route = RouteMessage(content) }
    }
    // IPv6 gives routes that refuse packets, too.
    guard let route, route.interface != 0,
      ![RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW].contains(route.type)
    else { return nil }
    return NetworkPath(interface: route.interface, gateway: route.gateway, source: route.source)
  }
}

/// What an interface of this host is.
public enum InterfaceKind {
  /// Interfaces whose addresses only this host, its containers or the other ends of tunnels reach.
  private static let virtual: Set = [
    "tun", "wireguard", "bridge", "dummy", "gre", "gretap", "ip6tnl", "ipip", "ipvti", "ppp", "sit", "vti", "vti6",
    "vxlan", "xfrm",
  ]

  /// Whether the interface with this name leads into a tunnel or to containers. False if the kernel does not say.
  public static func isVirtual(_ name: String) -> Bool {
    guard var netlink = try? RouteNetlink(), let index = try? interfaceIndex(of: name),
      let kind = try? netlink.link(index)?.kind
    else { return false }
    return virtual.contains(kind)
  }
}
