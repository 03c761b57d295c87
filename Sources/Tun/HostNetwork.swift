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

    /// The network with a prefix of `length` bits that has the address `bytes`, 4 or 16 bytes; without a length, the
    /// address alone.
    init?(_ bytes: RawSpan, length: Int? = nil) {
      guard length ?? 0 <= bytes.byteCount * 8 else { return nil }
      switch bytes.byteCount {
      case 4:
        self = .ipv4(IPv4Prefix(IPv4Address(bits: bytes.doubleWord(0)), length: length ?? 32))
      case 16:
        func half(_ offset: Int) -> UInt64 {
          UInt64(bytes.doubleWord(offset)) << 32 | UInt64(bytes.doubleWord(offset + 4))
        }
        self = .ipv6(IPv6Prefix(IPv6Address(high: half(0), low: half(8)), length: length ?? 128))
      default:
        return nil
      }
    }

    var isIPv6: Bool { if case .ipv6 = self { true } else { false } }

    /// The first address in network byte order.
    var bytes: [UInt8] {
      switch self {
      case .ipv4(let prefix): withUnsafeBytes(of: prefix.network.bits.bigEndian) { Array($0) }
      case .ipv6(let prefix):
        withUnsafeBytes(of: (prefix.network.high.bigEndian, prefix.network.low.bigEndian)) { Array($0) }
      }
    }

    /// The first address as text.
    var address: Substring { description.prefix { $0 != "/" } }

    /// Every interface has link-local (fe80::/10; RFC 4291, section 2.5.6) and multicast (ff00::/8) networks of its
    /// own.
    var isLinkLocal: Bool { bytes.count == 16 && bytes[0] == 0xFE && bytes[1] >> 6 == 0b10 }
    var isMulticast: Bool { bytes.count == 16 && bytes[0] == 0xFF }

    /// Whether any address lies in both.
    public func overlaps(_ other: Prefix) -> Bool {
      switch (self, other) {
      case (.ipv4(let one), .ipv4(let two)): one.overlaps(two)
      case (.ipv6(let one), .ipv6(let two)): one.overlaps(two)
      default: false
      }
    }

    /// How many leading bits the addresses share.
    public var length: Int {
      switch self {
      case .ipv4(let prefix): prefix.length
      case .ipv6(let prefix): prefix.length
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
    case route
    /// A route drops packets for it: unreachable, blackhole or prohibit.
    case rejectingRoute
  }

  public let prefix: Prefix
  /// The interface's name; `nil` for a route without an interface, or if the interface is gone.
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
    case .route, .rejectingRoute: "\(prefix)\(place) (route)"
    }
  }
}

extension HostNetwork {
  fileprivate func collides(with pool: Prefix, isKnown: Bool) -> Bool {
    guard prefix.overlaps(pool) else { return false }
    guard prefix.length < pool.length else { return true }
    return switch origin {
    case .address: true
    case .route: !isKnown
    case .rejectingRoute: false
    }
  }
}

/// Why a network cannot be set up on this host: the host uses some of its addresses already.
public struct NetworkCollision: Error, Sendable, Equatable, CustomStringConvertible {
  /// Does not say what to do; the caller adds that.
  public let description: String
  /// What cannot be reached while the device is joined.
  public let effect: String
  /// The pool that collides.
  public let pool: HostNetwork.Prefix
  /// The host's network; `nil` if it is the relay's address that collides.
  public let network: HostNetwork?

  /// The first of `networks` that collides with a pool; `nil` if none does.
  ///
  /// The longest prefix wins, so a route to more than the pool leaves the peers reachable. One that drops packets takes
  /// nothing from the host either. One that forwards them does: its addresses in the pool would be cut off, so it
  /// counts, unless `isKnown`, that is, unless the device was in the network before.
  public init?(of pools: [HostNetwork.Prefix], with networks: [HostNetwork], isKnown: Bool = false) {
    for network in networks {
      guard let pool = pools.first(where: { network.collides(with: $0, isKnown: isKnown) }) else { continue }
      self.pool = pool
      self.network = network
      description = "the network \(pool) overlaps with \(network)"
      effect =
        network.prefix.length < pool.length
        ? "this host cannot reach the hosts of \(network.prefix) whose addresses are in \(pool)"
        : "this host cannot reach devices whose addresses are in both"
      return
    }
    return nil
  }

  /// What to do about it, in lower case, without a full stop.
  public var advice: String {
    let change =
      switch pool {
      case .ipv4: "have the relay use another pool (relay.pool: auto)"
      case .ipv6: "have the relay use another IPv6 prefix (relay.pool6: another /96 within fd00::/8, or off)"
      }
    switch network?.origin {
    case .address: return "take that network away, or \(change)"
    case .route, .rejectingRoute: return "remove that route, or \(change)"
    case nil: return change
    }
  }

  /// The pool that contains the relay's address, which this host could not reach any more; `nil` if none does.
  public init?(of pools: [HostNetwork.Prefix], withRelayAt relay: HostNetwork.Prefix) {
    guard let pool = pools.first(where: relay.overlaps) else { return nil }
    self.pool = pool
    network = nil
    effect = "this host cannot reach the relay and devices by these addresses"
    description = "the network \(pool) has the address \(relay.address), at which this host reaches the relay"
  }
}
