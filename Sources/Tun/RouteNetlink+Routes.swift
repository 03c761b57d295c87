internal import CLinux
internal import SystemIO
internal import SystemPackage
internal import Wire

/// A route that an interface needs, or one that stands for it while it is down.
struct InterfaceRoute: Hashable {
  enum Kind: Hashable {
    /// To a network over the interface, as the kernel makes it for an address: in the main table, without a router.
    case link
    /// To this host's own address, in the local table.
    case local
    /// To nowhere, whatever the interface: see `UnreachableRoute`.
    case unreachable
  }

  let kind: Kind
  let prefix: HostNetwork.Prefix
}

extension RouteNetlink {
  /// Those of both families that belong to the interface `index`, and all unreachable ones.
  mutating func interfaceRoutes(of index: UInt32) throws(NetlinkFailure) -> Set<InterfaceRoute> {
    // The kernel leaves out what does not match; before Linux 4.20 it tells everything.
    let own = try ofBothFamilies { family in
      var message = Self.listRequest(family)
      message.attribute(Int(RTA_OIF.rawValue), index)
      return message
    } item: { type, content in
      Int(type) == RTM_NEWROUTE ? [InterfaceRoute(content, of: index)].compactMap { $0 } : []
    }
    return Set(own).union(try unreachableRoutes())
  }

  mutating func unreachableRoutes() throws(NetlinkFailure) -> Set<InterfaceRoute> {
    Set(
      try ofBothFamilies { family in
        Self.listRequest(family, type: UnreachableRoute.rtmType)
      } item: { type, content in
        let route = Int(type) == RTM_NEWROUTE ? InterfaceRoute(content, of: 0) : nil
        return route?.kind == .unreachable ? [route].compactMap { $0 } : []
      })
  }

  private static func listRequest(_ family: CInt, type: UInt8 = 0) -> NetlinkMessage {
    var filter = rtmsg()
    filter.rtm_family = UInt8(family)
    filter.rtm_type = type
    return NetlinkMessage(type: RTM_GETROUTE, flags: NLM_F_ROOT | NLM_F_MATCH, body: filter)
  }

  /// Adds the route to the network of `address`, which interface `index` has, as the kernel itself does.
  mutating func addLinkRoute(of address: Address, to index: UInt32) throws(NetlinkFailure) {
    let prefix = HostNetwork.Prefix.ipv4(IPv4Prefix(address.address, length: address.prefixLength))
    var message = Self.routeMessage(RTM_NEWROUTE, prefix, UInt8(RTN_UNICAST), scope: UInt8(RT_SCOPE_LINK.rawValue))
    message.attribute(Int(RTA_OIF.rawValue), index)
    message.attribute(Int(RTA_PREFSRC.rawValue), address.address)
    try add(message)
  }

  mutating func addLinkRoute(of address: Address6, to index: UInt32) throws(NetlinkFailure) {
    let prefix = HostNetwork.Prefix.ipv6(IPv6Prefix(address.address, length: address.prefixLength))
    var message = Self.routeMessage(RTM_NEWROUTE, prefix, UInt8(RTN_UNICAST), scope: 0)
    message.attribute(Int(RTA_OIF.rawValue), index)
    // IP6_RT_PRIO_ADDRCONF
    message.attribute(Int(RTA_PRIORITY.rawValue), UInt32(256))
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

  /// A route that is there already is no failure. Beside one of another interface with the same metric it comes second.
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
    route.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
    route.rtm_protocol = UInt8(RTPROT_KERNEL)
    route.rtm_scope = scope
    route.rtm_type = routeType
    let flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_APPEND : 0
    switch prefix {
    case .ipv4(let prefix):
      route.rtm_family = UInt8(AF_INET)
      route.rtm_dst_len = UInt8(prefix.length)
      var message = NetlinkMessage(type: type, flags: flags, body: route)
      message.attribute(Int(RTA_DST.rawValue), prefix.network)
      return message
    case .ipv6(let prefix):
      route.rtm_family = UInt8(AF_INET6)
      route.rtm_dst_len = UInt8(prefix.length)
      var message = NetlinkMessage(type: type, flags: flags, body: route)
      message.attribute(Int(RTA_DST.rawValue), prefix.network)
      return message
    }
  }
}

extension InterfaceRoute {
  /// What an RTM_NEWROUTE message says, if it is a route of interface `index` or an unreachable one.
  init?(_ content: RawSpan, of index: UInt32) {
    guard let route = RouteMessage(content), let destination = route.destination else { return nil }
    let isMain = route.table == RT_TABLE_MAIN.rawValue
    if route.isKeptUnreachable {
      self.init(kind: .unreachable, prefix: destination)
    } else if route.interface == index, index != 0, isMain, route.type == Int(RTN_UNICAST), !route.hasRouter {
      self.init(kind: .link, prefix: destination)
    } else if route.interface == index, index != 0, route.type == Int(RTN_LOCAL) {
      self.init(kind: .local, prefix: destination)
    } else {
      return nil
    }
  }
}
