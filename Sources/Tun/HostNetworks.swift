// The collision check asks the kernel for all addresses and routes, not for the route to one address, so networks that
// the host reaches only now and then count too.

internal import CLinux
internal import SystemIO
internal import SystemPackage
internal import Wire

/// The networks that this host has: those of its interfaces' addresses, and those that its routes lead to.
public enum HostNetworks {
  /// Lists them by rtnetlink(7), addresses first, both families, of the calling thread's network namespace; needs no
  /// right.
  ///
  /// Of the routes, lists the main table's: whoever sets up other tables knows them. Leaves out default routes, whole
  /// or in two halves, and IPv6's link-local and multicast networks.
  public static func list() throws(TunError) -> [HostNetwork] {
    var netlink: RouteNetlink
    do {
      netlink = try RouteNetlink()
    } catch {
      throw TunError(netlink: error)
    }
    return try networks(by: &netlink, except: nil)
  }

  /// As `list`, without what belongs to the interface `own`.
  static func networks(by netlink: inout RouteNetlink, except own: UInt32?) throws(TunError) -> [HostNetwork] {
    do throws(NetlinkFailure) {
      // Thousands of routes may lead to the same interface.
      var names: [UInt32: String?] = [0: nil]
      let listed = try netlink.networksByAddress() + netlink.routes { ListedNetwork($0) }
      return listed.filter { own == nil || $0.interface != own }.map { network in
        let name = names[network.interface] ?? interfaceName(of: network.interface)
        names[network.interface] = .some(name)
        return HostNetwork(prefix: network.prefix, interface: name, origin: network.origin)
      }
    } catch {
      throw TunError(step: "listing this host's networks", error)
    }
  }
}

/// A network as the kernel lists it.
struct ListedNetwork: Equatable {
  let prefix: HostNetwork.Prefix
  /// The interface's index, or 0.
  let interface: UInt32
  let origin: HostNetwork.Origin
}

extension RouteNetlink {
  mutating func networksByAddress() throws(NetlinkFailure) -> [ListedNetwork] {
    try listBothFamilies { family in
      Self.addressMessage(RTM_GETADDR, flags: NLM_F_ROOT | NLM_F_MATCH, family)
    } _: { type, content in
      Int(type) == RTM_NEWADDR ? ListedNetwork.addresses(content) : []
    }
  }
}

extension ListedNetwork {
  /// The network of the address in an RTM_NEWADDR message; of a link between two points, both ends.
  static func addresses(_ content: RawSpan) -> [ListedNetwork] {
    guard content.byteCount >= 8, [AF_INET, AF_INET6].contains(CInt(content.byte(0))) else { return [] }
    let size = content.byte(0) == UInt8(AF_INET6) ? 16 : 4
    let length = Int(content.byte(1))
    let interface = content.hostDoubleWord(4)
    var (local, other, network): (HostNetwork.Prefix?, HostNetwork.Prefix?, HostNetwork.Prefix?)
    let isWhole = NetlinkAnswer.attributes(content, from: 8) { type, value in
      guard value.byteCount == size else { return }
      switch Int(type) {
      case IFA_LOCAL: local = HostNetwork.Prefix(value)
      case IFA_ADDRESS:
        other = HostNetwork.Prefix(value)
        network = HostNetwork.Prefix(value, length: length)
      default: break
      }
    }
    guard isWhole, let network, !network.isLinkLocal, !network.isMulticast else { return [] }
    let networks = [network] + [local].compactMap { $0 }.filter { !network.overlaps($0) }
    let address = (local ?? other).map { String($0.address) } ?? ""
    return networks.map { ListedNetwork(prefix: $0, interface: interface, origin: .address(address)) }
  }

  /// `nil` for a route that does not count, such as an `UnreachableRoute`.
  init?(_ route: RouteMessage) {
    let kinds = [RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT]
    guard let destination = route.destination, !destination.isLinkLocal, !destination.isMulticast, route.length > 1,
      !route.isCached, route.table == RT_TABLE_MAIN.rawValue, kinds.contains(route.type), !route.isKeptUnreachable
    else { return nil }
    self.init(
      prefix: destination, interface: route.interface, origin: route.type == RTN_UNICAST ? .route : .rejectingRoute)
  }
}
