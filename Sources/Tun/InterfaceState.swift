internal import CLinux
internal import SystemIO
internal import SystemPackage
public import Wire

/// How an interface of this host is now, as the kernel tells it.
public struct InterfaceState: Equatable, Sendable {
  public var isUp: Bool
  /// In bytes.
  public var mtu: Int
  public var addresses: [IPv4Address]
  /// Without link-local ones.
  public var addresses6: [IPv6Address]
  /// The networks that a route of the main table leads to over this interface, without a router.
  public var routes: Set<HostNetwork.Prefix>

  public init(
    isUp: Bool, mtu: Int, addresses: [IPv4Address], addresses6: [IPv6Address] = [],
    routes: Set<HostNetwork.Prefix> = []
  ) {
    self.isUp = isUp
    self.mtu = mtu
    self.addresses = addresses
    self.addresses6 = addresses6
    self.routes = routes
  }

  /// Looks at the interface `name` of the calling thread's network namespace; `nil` if there is none. No right is needed.
  public static func look(at name: String) throws(TunError) -> InterfaceState? {
    guard let index = try? interfaceIndex(of: name) else { return nil }
    do throws(NetlinkFailure) {
      var netlink: RouteNetlink
      do throws(Errno) {
        netlink = try RouteNetlink()
      } catch {
        throw NetlinkFailure(error: error, text: nil)
      }
      guard let link = try netlink.link(index) else { return nil }
      let routes = try netlink.interfaceRoutes(of: index).filter { $0.kind == .link }.map(\.prefix)
      // A kernel without IPv6 has no such addresses.
      let addresses6 = (try? netlink.addresses6(of: index)) ?? []
      return InterfaceState(
        isUp: link.isUp, mtu: link.mtu, addresses: try netlink.addresses(of: index).map(\.address),
        addresses6: addresses6.map(\.address), routes: Set(routes))
    } catch {
      // Gone meanwhile.
      if error.error == .noSuchAddressOrDevice || error.error == .operationNotSupportedByDevice { return nil }
      throw TunError(step: "looking at \(name)", error)
    }
  }
}

extension RouteNetlink {
  struct Link: Equatable {
    let name: String
    let isUp: Bool
    let mtu: Int
    /// Whether packets can leave it, as long as it is up.
    let hasCarrier: Bool
    /// Whether it is a part of another interface, for a TUN that of a routing domain (VRF).
    let isInDomain: Bool
  }

  mutating func link(_ index: UInt32) throws(NetlinkFailure) -> Link? {
    var request = ifinfomsg()
    request.ifi_index = CInt(bitPattern: index)
    var found: Link?
    try self.request(NetlinkMessage(type: RTM_GETLINK, flags: 0, body: request)) { type, content in
      if Int(type) == RTM_NEWLINK { found = Self.link(content) }
    }
    return found
  }

  /// What an RTM_NEWLINK message says.
  static func link(_ content: RawSpan) -> Link? {
    let size = MemoryLayout<ifinfomsg>.size
    guard content.byteCount >= size else { return nil }
    let isUp = content.hostDoubleWord(8) & UInt32(IFF_UP) != 0
    var mtu: Int?
    var name: String?
    var (hasCarrier, isInDomain) = (true, false)
    let isWhole = NetlinkAnswer.attributes(content.extracting(size..<content.byteCount)) { type, value in
      switch Int(type) {
      case IFLA_MTU where value.byteCount == 4: mtu = Int(value.hostDoubleWord(0))
      case IFLA_IFNAME: name = value.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      case IFLA_CARRIER where value.byteCount == 1: hasCarrier = value.byte(0) != 0
      case IFLA_MASTER where value.byteCount == 4: isInDomain = value.hostDoubleWord(0) != 0
      default: break
      }
    }
    guard isWhole, let mtu, let name else { return nil }
    return Link(name: name, isUp: isUp, mtu: mtu, hasCarrier: hasCarrier, isInDomain: isInDomain)
  }
}
