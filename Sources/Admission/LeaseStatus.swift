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
  /// Nobody has a lease by this device ID or address.
  case noSuchLease(String)
  case revoked(String)
  /// The configuration says which address the device has.
  case fixed(String, IPv4Address)
  /// Why the device cannot have the address, and whether freeing that changes it.
  case notForDevice(String, canFree: Bool)
  case poolFull(IPv4Prefix)
  /// The device is in with it.
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
      "\(id) is in with \(address), which can be freed once it has left; end mnedc-join there first"
    }
  }
}

/// Why the pool stays as it is.
public enum PoolError: Error, Sendable, Equatable, CustomStringConvertible {
  case store(StoreError)
  /// Only a pool that has the present one in it can take its place while the relay runs.
  case notLarger(IPv4Prefix, than: IPv4Prefix)

  public var description: String {
    switch self {
    case .store(let error): error.description
    case .notLarger(let wanted, let pool):
      "the pool \(pool) cannot become \(wanted), which does not contain it, while the relay runs: that needs a restart"
    }
  }
}
