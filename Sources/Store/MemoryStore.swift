internal import Synchronization
public import Wire

/// The records in memory: the twin of `SQLiteStore` for tests, without disk or thread. Operations run on the thread
/// that posts them.
public final class MemoryStore: NetworkStore {
  // Guarded by its lock.
  private let state = Mutex(State())

  private struct State {
    var records = MemoryRecords()
    var statistics = StoreStatistics()
    var isClosed = false
  }

  public init() {}

  public var statistics: StoreStatistics { state.withLock { $0.statistics } }

  public func perform<Value: Sendable>(
    _ operation: @escaping StoreOperation<Value>, then: @escaping @Sendable (Result<Value, StoreError>) -> Void
  ) {
    let result = state.withLock { state -> Result<Value, StoreError> in
      guard !state.isClosed else { return .failure(.closed) }
      state.statistics.operations += 1
      state.statistics.transactions += 1
      do throws(StoreError) {
        let (value, changes) = try operation(state.records)
        if !changes.isEmpty {
          try state.records.apply(changes)
          state.statistics.writes += 1
        }
        return .success(value)
      } catch {
        return .failure(error)
      }
    }
    then(result)
  }

  public func close() { state.withLock { $0.isClosed = true } }
}

/// Records in memory, as a value.
public struct MemoryRecords: NetworkRecords, Sendable {
  private var devicesByKey: [[UInt8]: DeviceRecord] = [:]
  private var leasesByAddress: [IPv4Address: LeaseRecord] = [:]
  private var invitesByID: [String: InviteRecord] = [:]
  private var currentNetwork: NetworkRecord?

  public init() {}

  // MARK: Reading

  public func device(key: [UInt8]) -> DeviceMatch? {
    if let device = devicesByKey[key] { return DeviceMatch(device: device, key: .current) }
    return devicesByKey.values.first { $0.nextKey == key }.map { DeviceMatch(device: $0, key: .next) }
  }

  public func devices() -> [DeviceRecord] { devices { _ in true } }

  public func devices(id: String) -> [DeviceRecord] { devices { $0.id == id } }

  public func activeDevices(label: String) -> [DeviceRecord] {
    devices { $0.status == .active && HostLabel.label(of: $0.id) == label }
  }

  private func devices(where isWanted: (DeviceRecord) -> Bool) -> [DeviceRecord] {
    devicesByKey.values.filter(isWanted).sorted {
      ($0.id, $0.status.rawValue, -$0.admittedAt) < ($1.id, $1.status.rawValue, -$1.admittedAt)
    }
  }

  public func invites() -> [InviteRecord] {
    invitesByID.values.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  public func invite(tokenHash: [UInt8]) -> InviteRecord? { invitesByID.values.first { $0.tokenHash == tokenHash } }

  public func network() -> NetworkRecord? { currentNetwork }

  public func leases() -> [LeaseRecord] { leasesByAddress.values.sorted { $0.address < $1.address } }

  public func lease(ofKey key: [UInt8]) -> LeaseRecord? { leasesByAddress.values.first { $0.key == key } }

  public func lease(at address: IPv4Address) -> LeaseRecord? { leasesByAddress[address] }

  public func freeAddress(in pool: LeasePool) -> IPv4Address? {
    var start: Int64 = 0
    while let address = pool.nextFreelyLeasable(from: start) {
      if leasesByAddress[address] == nil { return address }
      start = Int64(address.bits) + 1
    }
    return nil
  }

  public func leasesUnused(
    since time: Int64, in prefix: IPv4Prefix, after previous: LeaseRecord?, limit: Int
  ) -> [LeaseRecord] {
    let unused = leasesByAddress.values.filter { lease in
      !lease.isPinned && lease.lastUsed <= time && prefix.contains(lease.address)
        && previous.map { ($0.lastUsed, $0.address) < (lease.lastUsed, lease.address) } ?? true
    }
    return Array(unused.sorted { ($0.lastUsed, $0.address) < ($1.lastUsed, $1.address) }.prefix(limit))
  }

  public func newestUse() -> Int64? {
    (devicesByKey.values.map { max($0.lastSeen, $0.admittedAt) } + leasesByAddress.values.map(\.lastUsed)).max()
  }

  // MARK: Changing

  /// Applies all changes or, if one throws, none.
  public mutating func apply(_ changes: [RecordChange]) throws(StoreError) {
    var changed = self
    for change in changes { try changed.apply(change) }
    self = changed
  }

  private mutating func apply(_ change: RecordChange) throws(StoreError) {
    switch change {
    case .putDevice(let device):
      try check(device)
      devicesByKey[device.key] = device
    case .removeDevice(let key):
      devicesByKey[key] = nil
    case .putLease(let lease):
      guard devicesByKey[lease.key] != nil else { throw .badValue("there is no such device") }
      guard leasesByAddress[lease.address].map({ $0.key == lease.key }) ?? true else {
        throw .badValue("another device has \(lease.address)")
      }
      if let former = self.lease(ofKey: lease.key) { leasesByAddress[former.address] = nil }
      leasesByAddress[lease.address] = lease
    case .removeLease(let address):
      leasesByAddress[address] = nil
    case .putInvite(let invite):
      guard invite.usesTotal > 0, 0...invite.usesTotal ~= invite.usesLeft, invite.tokenHash.count == 32,
        self.invite(tokenHash: invite.tokenHash).map({ $0.id == invite.id }) ?? true
      else { throw .badValue("the uses or the hash of an invite") }
      invitesByID[invite.id] = invite
    case .removeInvite(let id):
      invitesByID[id] = nil
    case .putNetwork(let network):
      currentNetwork = network
    case .seen(let key, let time):
      guard let key = device(key: key)?.device.key else { return }
      devicesByKey[key]?.lastSeen = time
      if let lease = lease(ofKey: key) { leasesByAddress[lease.address]?.lastUsed = time }
    }
  }

  /// The constraints of `SQLiteSchema`.
  private func check(_ device: DeviceRecord) throws(StoreError) {
    guard device.key.count == 32, device.nextKey?.count ?? 32 == 32, !device.id.isEmpty else {
      throw .badValue("a device's key or ID")
    }
    for other in devicesByKey.values where other.key != device.key {
      let sharesID = other.id == device.id && other.status == .active && device.status == .active
      let sharesNextKey = other.nextKey != nil && other.nextKey == device.nextKey
      if sharesID || sharesNextKey { throw .badValue("another device has the device ID or the next key") }
    }
  }
}
