public import Store
public import Wire

/// A lease as operators see it.
public struct LeaseStatus: Sendable, Equatable {
  public var address: IPv4Address
  /// `nil`: the network has none.
  public var address6: IPv6Address?
  public var deviceID: String
  public var kind: LeaseKind
  public var isOnline: Bool
  /// When the device joined or left last, in Unix seconds.
  public var lastUsed: Int64
}

extension LeaseStatus {
  public init(_ lease: LeaseRecord, _ network: RelayNetwork, isOnline: Bool) {
    let fixed = network.pool.fixed[lease.deviceID]
    let isValid = network.pool.isLeasable(lease.address, to: lease.deviceID) && fixed ?? lease.address == lease.address
    self.init(
      address: lease.address, address6: isValid ? network.pool6?.address(of: lease.address) : nil,
      deviceID: lease.deviceID,
      kind: !isValid ? .outside : fixed != nil ? .fixed : lease.isPinned ? .pinned : .leased,
      isOnline: isOnline, lastUsed: lease.lastUsed)
  }
}

/// Why a lease stays as it is.
public enum LeaseError: Error, Sendable, Equatable, CustomStringConvertible {
  case store(StoreError)
  case name(DeviceNameError)
  /// There is no lease of this device ID or address.
  case noSuchLease(String)
  case revoked(String)
  /// The configuration fixes the device's address.
  case fixed(String, IPv4Address)
  /// Why the device cannot have the address, and whether an operator can free it.
  case notForDevice(String, canFree: Bool)
  case poolFull(IPv4Prefix)
  /// The device is connected.
  case inUse(String, IPv4Address)

  public var description: String {
    switch self {
    case .store(let error): error.description
    case .name(let error): error.text(suggesting: nil)
    case .noSuchLease(let name): "there is no lease of \(name); see `mnedc-ctl leases`"
    case .revoked(let id): "\(id) is revoked, and has no address any more"
    case .fixed(let id, let address):
      "the relay's configuration gives \(address) to \(id); change relay.addresses and start the relay again"
    case .notForDevice(let problem, let canFree):
      "\(problem); choose another address" + (canFree ? ", or free it first (`mnedc-ctl lease free`)" : "")
    case .poolFull(let pool):
      "no address of the pool \(pool) is free; free one (`mnedc-ctl lease free`), or give the relay a larger pool"
    case .inUse(let id, let address):
      "\(id) is connected with \(address); end mnedc-join there first, and then free the lease"
    }
  }
}

/// Why the pool stays as it is.
public enum PoolError: Error, Sendable, Equatable, CustomStringConvertible {
  case store(StoreError)
  /// A pool can only grow while the relay runs.
  case notLarger(IPv4Prefix, than: IPv4Prefix)

  public var description: String {
    switch self {
    case .store(let error): error.description
    case .notLarger(let wanted, let pool):
      "the pool \(pool) cannot become \(wanted), which does not contain it, while the relay runs: that needs a restart"
    }
  }
}
