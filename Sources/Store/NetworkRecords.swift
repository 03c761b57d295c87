public import Wire

/// The records of a network, as an operation reads them. Keys and hashes have 32 bytes, times are Unix seconds.
///
/// The rules by which records change are extensions of this protocol, so that every store has the same ones. They
/// return changes for the store to commit.
public protocol NetworkRecords {
  /// The device that `key` belongs to, as its key or its next one; also a revoked device.
  func device(key: [UInt8]) throws(StoreError) -> DeviceMatch?
  /// All devices, also revoked ones, by ID; of one ID the active one first, then by admission, latest first.
  func devices() throws(StoreError) -> [DeviceRecord]
  /// Those of `devices()` that have this ID.
  func devices(id: String) throws(StoreError) -> [DeviceRecord]
  /// The active devices whose IDs make this host name, by ID.
  func activeDevices(label: String) throws(StoreError) -> [DeviceRecord]

  /// All invites, oldest first.
  func invites() throws(StoreError) -> [InviteRecord]
  func invite(tokenHash: [UInt8]) throws(StoreError) -> InviteRecord?

  /// `nil` until the relay starts for the first time.
  func network() throws(StoreError) -> NetworkRecord?
  /// All leases by address, also those outside the present pool.
  func leases() throws(StoreError) -> [LeaseRecord]
  /// The lease of the device with this present key.
  func lease(ofKey key: [UInt8]) throws(StoreError) -> LeaseRecord?
  func lease(at address: IPv4Address) throws(StoreError) -> LeaseRecord?
  /// The lowest address of the pool that is neither leased nor fixed for a device.
  func freeAddress(in pool: LeasePool) throws(StoreError) -> IPv4Address?
  /// Leases in `prefix` without a pin that were last used at `time` or before, longest unused first: at most `limit`
  /// of those behind `previous`.
  func leasesUnused(
    since time: Int64, in prefix: IPv4Prefix, after previous: LeaseRecord?, limit: Int
  ) throws(StoreError) -> [LeaseRecord]
  /// The newest time in the records of admissions, devices and leases; `nil` if there are none.
  func newestUse() throws(StoreError) -> Int64?
}

/// A change of the records. An operation returns all that it changes; a store commits them together, in order.
public enum RecordChange: Equatable, Sendable {
  /// Adds a device, or replaces the record with its key.
  case putDevice(DeviceRecord)
  /// Removes a device. The lease that it has goes before, by `removeLease`.
  case removeDevice(key: [UInt8])
  /// Adds a lease of a known device, or replaces the device's lease. Fails if another device has the address.
  case putLease(LeaseRecord)
  case removeLease(IPv4Address)
  /// Adds an invite, or replaces the record with its ID.
  case putInvite(InviteRecord)
  case removeInvite(id: String)
  case putNetwork(NetworkRecord)
  /// The device with this key, present or next, was connected at this time, and used its lease. Nothing changes if
  /// there is no such device. The time may be earlier than the recorded one, after a clock was set right.
  case seen(key: [UInt8], at: Int64)

  /// Gives `address` to a device in place of its `former` lease. A pin moves along.
  public static func moveLease(
    of device: DeviceRecord, from former: LeaseRecord?, to address: IPv4Address, at now: Int64
  ) -> [RecordChange] {
    let lease = LeaseRecord(
      address: address, key: device.key, deviceID: device.id, isPinned: former?.isPinned ?? false, lastUsed: now)
    guard let former, former.address != address else { return [.putLease(lease)] }
    return [.removeLease(former.address), .putLease(lease)]
  }
}

extension [RecordChange] {
  /// The addresses that are free after these changes and were not before.
  var freedAddresses: [IPv4Address] {
    var freed: [IPv4Address] = []
    for change in self {
      switch change {
      case .removeLease(let address): freed.append(address)
      case .putLease(let lease): freed.removeAll { $0 == lease.address }
      default: break
      }
    }
    return freed
  }
}
