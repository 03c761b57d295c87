public import Wire

/// A virtual address that belongs to a device. Times are Unix seconds.
public struct LeaseRecord: Equatable, Sendable {
  public let address: IPv4Address
  /// The device's present public key, 32 bytes.
  public let key: [UInt8]
  public let deviceID: String
  /// An operator has said that it is for this device whatever happens.
  public let isPinned: Bool
  /// When its device joined or left last.
  public let lastUsed: Int64
}

/// The network that leases are from, as it was when the relay ran last.
public struct NetworkRecord: Equatable, Sendable {
  public var pool: IPv4Prefix
  /// The relay host's own address.
  public var relayAddress: IPv4Address
  /// The pool that the relay has chosen itself; `nil` if it never had to.
  public var ownPool: IPv4Prefix?
  /// The IPv6 prefix that the relay has made up; `nil` if it never had to.
  public var ownPool6: IPv6Prefix?

  public init(pool: IPv4Prefix, relayAddress: IPv4Address, ownPool: IPv4Prefix? = nil, ownPool6: IPv6Prefix? = nil) {
    self.pool = pool
    self.relayAddress = relayAddress
    self.ownPool = ownPool
    self.ownPool6 = ownPool6
  }
}
