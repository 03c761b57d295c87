internal import CLinux
internal import SystemIO
internal import SystemPackage
public import Wire

/// An interface of this host as the kernel describes it.
public struct InterfaceState: Equatable, Sendable {
  public var isUp: Bool
  /// In bytes.
  public var mtu: Int
  public var addresses: [IPv4Address]
  /// Without link-local ones.
  public var addresses6: [IPv6Address] = []
  /// The destinations of the main table's routes over this interface without a router.
  public var routes: Set<HostNetwork.Prefix> = []

  public init(isUp: Bool, mtu: Int, addresses: [IPv4Address]) {
    self.isUp = isUp
    self.mtu = mtu
    self.addresses = addresses
  }

  /// Looks at the interface `name` of the calling thread's network namespace; `nil` if there is none. Needs no right.
  public static func look(at name: String) throws(TunError) -> InterfaceState? {
    guard let index = try? interfaceIndex(of: name) else { return nil }
    do throws(NetlinkFailure) {
      var netlink: RouteNetlink
      do throws(Errno) {
        netlink = try RouteNetlink()
      } catch {
        throw NetlinkFailure(error: error)
      }
      guard let link = try netlink.link(index) else { return nil }
      var state = InterfaceState(isUp: link.isUp, mtu: link.mtu, addresses: [])
      state.routes = Set(try netlink.interfaceRoutes(of: index).filter { $0.kind == .link }.map(\.prefix))
      // A kernel without IPv6 refuses to list its addresses.
      let addresses6 = (try? netlink.addresses(AF_INET6, of: index)) ?? []
      for address in try netlink.addresses(AF_INET, of: index) + addresses6 {
        switch address.host {
        case .ipv4(let host): state.addresses.append(host.network)
        case .ipv6(let host): state.addresses6.append(host.network)
        }
      }
      return state
    } catch {
      // Deleted meanwhile.
      if error.error == .noSuchAddressOrDevice || error.error == .operationNotSupportedByDevice { return nil }
      throw TunError(step: "looking at \(name)", error)
    }
  }
}
