public import Wire

/// How a packet device's interface is to be configured.
public struct InterfaceConfiguration: Sendable, Equatable {
  public let address: IPv4Address
  public let prefix: IPv4Prefix
  public let prefix6: IPv6Prefix?
  /// In bytes.
  public let mtu: Int

  public init(address: IPv4Address, prefix: IPv4Prefix, prefix6: IPv6Prefix?, mtu: Int) {
    self.address = address
    self.prefix = prefix
    self.prefix6 = prefix6
    self.mtu = mtu
  }

  public var pools: [HostNetwork.Prefix] { HostNetwork.Prefix.pools(prefix, prefix6) }
}

/// What `PacketDevice.restore` found and put back.
public struct InterfaceRepair: Sendable, Equatable {
  /// A difference from the configuration.
  public enum Difference: Sendable, Hashable, CustomStringConvertible {
    case down
    case noCarrier
    /// The interface had this MTU, in bytes.
    case mtu(Int)
    /// Missing, with its prefix length.
    case address(String)
    /// The route to this network was missing.
    case route(HostNetwork.Prefix)
    /// The unreachable route to this network was missing.
    case unreachableRoute(HostNetwork.Prefix)

    public var description: String {
      switch self {
      case .down: "the interface was down"
      case .noCarrier: "the interface had no carrier"
      case .mtu(let mtu): "its MTU was \(mtu)"
      case .address(let address): "the address \(address) was missing"
      case .route(let prefix): "the route to \(prefix) was missing"
      case .unreachableRoute(let prefix): "the unreachable route to \(prefix) was missing"
      }
    }
  }

  public var differences: [Difference] = []
  /// Why the interface lacks the IPv6 address that it should have.
  public var missingIPv6: MissingIPv6?
  /// The kernel has not made all routes of a new address yet: call `restore` again a moment later.
  public var isSettling = false

  public init(_ differences: [Difference] = [], missingIPv6: MissingIPv6? = nil) {
    self.differences = differences
    self.missingIPv6 = missingIPv6
  }
}
