// The collision check asks the kernel for all addresses and routes, not for the route to one address, so networks that
// the host reaches only now and then count too.

internal import CLinux
internal import SystemIO
internal import SystemPackage
internal import Wire

/// The networks that this host has: what its interfaces' addresses are in, and where its routes lead.
public enum HostNetworks {
  /// Lists them by rtnetlink(7), addresses first, both families, of the calling thread's network namespace; no right is needed.
  ///
  /// Of the routes, those of the main table: the rest is for special cases, which whoever sets them up must know. Left out are
  /// default routes, whole or in two halves, and link-local and multicast networks of IPv6.
  public static func list() throws(TunError) -> [HostNetwork] {
    var netlink: RouteNetlink
    do {
      netlink = try RouteNetlink()
    } catch {
      throw TunError(netlink: error)
    }
    return try networks(by: &netlink, except: nil)
  }

  private static let step = "listing this host's networks"

  /// The same but for what belongs to the interface `own`.
  static func networks(by netlink: inout RouteNetlink, except own: UInt32?) throws(TunError) -> [HostNetwork] {
    do throws(NetlinkFailure) {
      var names = InterfaceNames()
      let addresses = try netlink.networksByAddress()
      let routes = try netlink.networksByRoute()
      return (addresses + routes).filter { own == nil || $0.interface != own }.map { network in
        HostNetwork(prefix: network.prefix, interface: names[network.interface], origin: network.origin)
      }
    } catch {
      throw TunError(step: step, error)
    }
  }

  /// The names of interfaces by number, each asked for once: thousands of routes may lead to the same.
  private struct InterfaceNames {
    private var known: [UInt32: String?] = [:]

    subscript(_ index: UInt32) -> String? {
      mutating get {
        if let name = known[index] { return name }
        let name = index == 0 ? nil : interfaceName(of: index)
        known[index] = .some(name)
        return name
      }
    }
  }
}

/// As the kernel tells it: the interface is 0 where there is none.
struct ListedNetwork: Equatable {
  let prefix: HostNetwork.Prefix
  let interface: UInt32
  let origin: HostNetwork.Origin
}

extension RouteNetlink {
  mutating func networksByAddress() throws(NetlinkFailure) -> [ListedNetwork] {
    try ofBothFamilies { family in
      var filter = ifaddrmsg()
      filter.ifa_family = UInt8(family)
      return NetlinkMessage(type: RTM_GETADDR, flags: NLM_F_ROOT | NLM_F_MATCH, body: filter)
    } item: { type, content in
      Int(type) == RTM_NEWADDR ? ListedNetwork.addresses(content) : []
    }
  }

  mutating func networksByRoute() throws(NetlinkFailure) -> [ListedNetwork] {
    try ofBothFamilies { family in
      var filter = rtmsg()
      filter.rtm_family = UInt8(family)
      return NetlinkMessage(type: RTM_GETROUTE, flags: NLM_F_ROOT | NLM_F_MATCH, body: filter)
    } item: { type, content in
      Int(type) == RTM_NEWROUTE ? [ListedNetwork(route: content)].compactMap { $0 } : []
    }
  }

  mutating func ofBothFamilies<Item>(
    _ request: (CInt) -> NetlinkMessage, item: (UInt16, RawSpan) -> [Item]
  ) throws(NetlinkFailure) -> [Item] {
    var found: [Item] = []
    for family in [AF_INET, AF_INET6] {
      do {
        // A kernel without IPv6 lists everything instead of nothing, so what is IPv4 might come twice.
        found += try list(request(family)) { type, content in
          content.byteCount > 0 && content.byte(0) == UInt8(family) ? item(type, content) : []
        }
      } catch {
        guard family == AF_INET6, [.addressFamilyNotSupported, .notSupportedOnSocket].contains(error.error) else {
          throw error
        }
      }
    }
    return found
  }
}

extension ListedNetwork {
  /// What an RTM_NEWADDR message says: the network of the address, and of a link between two points both ends.
  static func addresses(_ content: RawSpan) -> [ListedNetwork] {
    guard content.byteCount >= 8, let family = Family(content.byte(0)) else { return [] }
    let length = Int(content.byte(1))
    let interface = content.hostDoubleWord(4)
    var local: HostNetwork.Prefix?
    var network: HostNetwork.Prefix?
    var text = ""
    let isWhole = NetlinkAnswer.attributes(content.extracting(8..<content.byteCount)) { type, value in
      switch Int(type) {
      case IFA_LOCAL:
        local = family.prefix(value, length: family.bits)
        text = family.text(value) ?? ""
      case IFA_ADDRESS:
        network = family.prefix(value, length: length)
        if text.isEmpty { text = family.text(value) ?? "" }
      default: break
      }
    }
    guard isWhole, let network, !network.isOfNoNetwork else { return [] }
    let networks = [network] + [local].compactMap { $0 }.filter { !network.overlaps($0) }
    return networks.map { ListedNetwork(prefix: $0, interface: interface, origin: .address(text)) }
  }

  /// What an RTM_NEWROUTE message says; `nil` if it is none to look at, as the unreachable routes that MNEDC keeps.
  init?(route content: RawSpan) {
    guard let route = RouteMessage(content), let destination = route.destination else { return nil }
    let kinds = [RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT]
    guard !destination.isOfNoNetwork, route.length > 1, !route.isCached, route.table == RT_TABLE_MAIN.rawValue,
      kinds.contains(route.type), !route.isKeptUnreachable
    else { return nil }
    self.init(
      prefix: destination, interface: route.interface, origin: route.type == RTN_UNICAST ? .route : .rejectingRoute)
  }
}

/// An RTM_NEWROUTE message, of either family.
struct RouteMessage {
  private(set) var type: Int
  private(set) var length: Int
  private(set) var isCached: Bool
  /// `nil` for a default route.
  private(set) var destination: HostNetwork.Prefix?
  private(set) var table: UInt32
  /// 0: it leads to none. The first one, where it leads to several.
  private(set) var interface: UInt32 = 0
  private(set) var hasRouter = false
  private var metric: UInt32 = 0
  private var rtmProtocol: UInt8

  init?(_ content: RawSpan) {
    let size = MemoryLayout<rtmsg>.size
    guard content.byteCount >= size, let family = Family(content.byte(0)) else { return nil }
    let length = Int(content.byte(1))
    self.length = length
    type = Int(content.byte(7))
    rtmProtocol = content.byte(5)
    isCached = content.hostDoubleWord(8) & UInt32(RTM_F_CLONED) != 0
    table = UInt32(content.byte(4))
    var found = self
    let isWhole = NetlinkAnswer.attributes(content.extracting(size..<content.byteCount)) { type, value in
      switch rtattr_type_t(UInt32(type)) {
      case RTA_DST: found.destination = family.prefix(value, length: length)
      case RTA_TABLE where value.byteCount == 4: found.table = value.hostDoubleWord(0)
      case RTA_OIF where value.byteCount == 4: found.interface = value.hostDoubleWord(0)
      case RTA_PRIORITY where value.byteCount == 4: found.metric = value.hostDoubleWord(0)
      case RTA_GATEWAY, RTA_VIA: found.hasRouter = true
      // Several ways at once: any of them will do to name the route. The first one's number is behind its length and flags.
      case RTA_MULTIPATH where value.byteCount >= 8:
        found.interface = value.hostDoubleWord(4)
        found.hasRouter = true
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

private enum Family {
  case ipv4, ipv6

  init?(_ number: UInt8) {
    switch CInt(number) {
    case AF_INET: self = .ipv4
    case AF_INET6: self = .ipv6
    default: return nil
    }
  }

  var bits: Int { self == .ipv4 ? 32 : 128 }

  func prefix(_ value: RawSpan, length: Int) -> HostNetwork.Prefix? {
    guard length <= bits else { return nil }
    return switch self {
    case .ipv4: value.ipv4Address.map { .ipv4(IPv4Prefix($0, length: length)) }
    case .ipv6: value.ipv6Address.map { .ipv6(IPv6Prefix($0, length: length)) }
    }
  }

  func text(_ value: RawSpan) -> String? {
    switch self {
    case .ipv4: value.ipv4Address?.description
    case .ipv6: value.ipv6Address?.description
    }
  }
}

extension HostNetwork.Prefix {
  /// Link-local and multicast: every interface has its own.
  fileprivate var isOfNoNetwork: Bool {
    if case .ipv6(let prefix) = self { prefix.network.isLinkLocal || prefix.network.isMulticast } else { false }
  }
}
