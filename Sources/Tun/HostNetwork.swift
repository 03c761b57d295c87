public import Wire

/// A network that this host is in or has a route to.
public struct HostNetwork: Sendable, Hashable, CustomStringConvertible {
  public enum Prefix: Sendable, Hashable, CustomStringConvertible {
    case ipv4(IPv4Prefix)
    case ipv6(IPv6Prefix)

    /// Both pools of a network.
    public static func pools(_ pool: IPv4Prefix, _ pool6: IPv6Prefix?) -> [Prefix] {
      [.ipv4(pool)] + [pool6].compactMap { $0.map(Prefix.ipv6) }
    }

    /// A single address, with or without a zone (`fe80::1%eth0`).
    public init?(host: String) {
      if let address = IPv4Address(host) {
        self = .ipv4(IPv4Prefix(address, length: 32))
      } else if let address = IPv6Address(String(host.prefix { $0 != "%" })) {
        self = .ipv6(IPv6Prefix(address, length: 128))
      } else {
        return nil
      }
    }

    /// Whether any address lies in both.
    public func overlaps(_ other: Prefix) -> Bool {
      switch (self, other) {
      case (.ipv4(let one), .ipv4(let two)): one.overlaps(two)
      case (.ipv6(let one), .ipv6(let two)): one.overlaps(two)
      default: false
      }
    }

    public var description: String {
      switch self {
      case .ipv4(let prefix): prefix.description
      case .ipv6(let prefix): prefix.description
      }
    }
  }

  public enum Origin: Sendable, Hashable {
    /// An interface has this address in the network.
    case address(String)
    /// There is a route to it.
    case route
  }

  public let prefix: Prefix
  /// The interface's name; `nil` for a route that leads nowhere, or to an interface that is gone.
  public let interface: String?
  public let origin: Origin

  public init(prefix: Prefix, interface: String?, origin: Origin) {
    self.prefix = prefix
    self.interface = interface
    self.origin = origin
  }

  /// `10.0.0.0/16 on eth0 (address 10.0.3.4)`
  public var description: String {
    let place = interface.map { " on \($0)" } ?? ""
    return switch origin {
    case .address(let address): "\(prefix)\(place) (address \(address))"
    case .route: "\(prefix)\(place) (route)"
    }
  }
}

/// Why a network cannot be set up on this host: its addresses mean something else here already. For people; what to do about
/// it is for whoever shows it.
public struct NetworkCollision: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  /// The first of `networks` that a pool has addresses in common with, and that pool; `nil` if there is none.
  public init?(of pools: [HostNetwork.Prefix], with networks: [HostNetwork]) {
    for network in networks {
      guard let pool = pools.first(where: network.prefix.overlaps) else { continue }
      description = "the network \(pool) overlaps with \(network)"
      return
    }
    return nil
  }

  /// The pool that has the address at which this host reaches the relay, which would be out of reach then.
  public init?(of pools: [HostNetwork.Prefix], withRelayAt place: HostNetwork.Prefix) {
    guard let pool = pools.first(where: place.overlaps) else { return nil }
    let address = place.description.prefix { $0 != "/" }
    description = "the network \(pool) has the address \(address), at which this host reaches the relay"
  }
}
