public import Wire

/// A virtual address that belongs to a device. Times are Unix seconds.
public struct LeaseRecord: Equatable, Sendable {
  public let address: IPv4Address
  /// The device's present public key, 32 bytes.
  public internal(set) var key: [UInt8]
  public let deviceID: String
  /// Whether an operator reserved it for this device.
  public internal(set) var isPinned: Bool
  /// When its device joined or left last.
  public internal(set) var lastUsed: Int64

  /// The same lease with or without a pin.
  public func pinned(_ isPinned: Bool) -> LeaseRecord {
    var lease = self
    lease.isPinned = isPinned
    return lease
  }
}

/// The network of the leases, as the relay served it last.
public struct NetworkRecord: Equatable, Sendable {
  public var pool: IPv4Prefix
  /// The relay host's own address.
  public var relayAddress: IPv4Address
  /// The pool that the relay has chosen; `nil` if it never had to.
  public var ownPool: IPv4Prefix?
  /// The IPv6 prefix that the relay has made; `nil` if it never had to.
  public var ownPool6: IPv6Prefix?

  public init(pool: IPv4Prefix, relayAddress: IPv4Address, ownPool: IPv4Prefix? = nil, ownPool6: IPv6Prefix? = nil) {
    self.pool = pool
    self.relayAddress = relayAddress
    self.ownPool = ownPool
    self.ownPool6 = ownPool6
  }
}
