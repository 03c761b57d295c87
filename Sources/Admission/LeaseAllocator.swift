public import Store
public import Wire

/// Gives devices their addresses.
///
/// A device gets the address that is fixed for it; else the one that it requires; else the one that it has; else the
/// one that it would like; else the lowest free one; else, in a full pool, the one whose device was away for longest.
public struct LeaseAllocator: Sendable {
  public let pool: LeasePool
  /// How long a device must have been away before another may get its address.
  let age: Duration
  /// Whether leases may be reclaimed now.
  let mayReclaim: Bool
  /// Unix seconds.
  let now: Int64
  let presence: any DevicePresence

  public init(_ pool: LeasePool, age: Duration, mayReclaim: Bool, at now: Int64, presence: any DevicePresence) {
    self.pool = pool
    self.age = age
    self.mayReclaim = mayReclaim
    self.now = now
    self.presence = presence
  }

  /// What a device is entitled to.
  enum Claim {
    case has(IPv4Address)
    /// It needs a lease, of this address or of any.
    case needs(IPv4Address?)
    case refused(Refusal)
  }

  /// What came of an attempt to give an address.
  struct Grant {
    /// `nil`: no address is free.
    var lease: LeaseRecord?
    var changes: [RecordChange] = []
    var effects: [AdmissionEffect] = []
    /// Whether there are unused leases that the relay may not reclaim yet.
    var isReclaimPaused = false
    /// Notes about devices that were found to use old leases, so that the next search passes over these.
    var inUse: [RecordChange] = []
  }

  // MARK: Claims

  /// `lease` is the device's present one.
  func claim(
    of request: AdmissionRequest, _ lease: LeaseRecord?, _ records: any NetworkRecords
  ) throws(StoreError) -> Claim {
    let deviceID = request.deviceID
    let lease = lease.flatMap { pool.isLeasable($0.address, to: deviceID) ? $0 : nil }
    let required = request.addressRequired ? request.address : nil
    if let fixed = pool.fixed[deviceID] {
      if let required, required != fixed {
        return .refused(Refusal(.addressTaken, "the relay's configuration gives \(fixed) to \(deviceID); ask for that"))
      }
      return lease?.address == fixed ? .has(fixed) : .needs(fixed)
    }
    if let lease, required ?? lease.address == lease.address { return .has(lease.address) }
    if let required {
      if let lease, lease.isPinned {
        return .refused(
          Refusal(.addressTaken, "the relay's operator has pinned \(deviceID) to \(lease.address); ask for that"))
      }
      if let problem = try objection(to: required, for: deviceID, records) {
        return .refused(Refusal(.addressTaken, "\(problem.text); ask for another address or for none"))
      }
      // The address of a session that may be alive must not become another device's.
      if let lease, presence.isContested(request) { return .has(lease.address) }
      return .needs(required)
    }
    if let wish = request.address, try objection(to: wish, for: deviceID, records) == nil { return .needs(wish) }
    return .needs(nil)
  }

  /// Why a device cannot have an address.
  struct Objection {
    let text: String
    /// Whether that is another device's lease, which an operator can free.
    var isLease = false
  }

  /// Why a device cannot have an address that is not its own.
  private func objection(
    to address: IPv4Address, for deviceID: String, _ records: any NetworkRecords
  ) throws(StoreError) -> Objection? {
    guard pool.isLeasable(address) else {
      return Objection(
        text: "\(address) cannot be leased: the pool is \(pool.prefix), \(pool.relayAddress) is the relay's own, and "
          + "addresses that end in .0 or .255 are not leased")
    }
    if let owner = pool.owner(of: address), owner != deviceID {
      return Objection(text: "\(address) is fixed for \(owner) by the relay's configuration")
    }
    if let lease = try records.lease(at: address), lease.deviceID != deviceID {
      return Objection(text: "\(address) is leased to \(lease.deviceID)", isLease: true)
    }
    return nil
  }

  // MARK: Grants

  /// Gives the device the address that it needs, which is free, or any, in place of its `former` lease.
  func grant(
    _ wanted: IPv4Address?, to device: DeviceRecord, former: LeaseRecord?, _ records: any NetworkRecords
  ) throws(StoreError) -> Grant {
    var grant = Grant()
    var address = wanted
    if address == nil { address = try records.freeAddress(in: pool) }
    if address == nil { address = try reclaim(for: device.id, records, into: &grant) }
    guard let address else { return grant }
    if let former, former.address != address { grant.effects.append(.leaseMoved(deviceID: device.id)) }
    let changes = RecordChange.moveLease(of: device, from: former, to: address, at: now)
    if case .putLease(let lease)? = changes.last { grant.lease = lease }
    grant.changes += changes
    return grant
  }

  private func reclaim(
    for deviceID: String, _ records: any NetworkRecords, into grant: inout Grant
  ) throws(StoreError) -> IPv4Address? {
    let limit = now - age.components.seconds
    guard mayReclaim else {
      grant.isReclaimPaused = try !records.leasesUnused(since: limit, in: pool.prefix, after: nil, limit: 1).isEmpty
      return nil
    }
    let count = 64
    var leases: [LeaseRecord] = []
    repeat {
      leases = try records.leasesUnused(since: limit, in: pool.prefix, after: leases.last, limit: count)
      for lease in leases where pool.isLeasable(lease.address) && pool.owner(of: lease.address) == nil {
        guard !presence.isInUse(lease) else {
          grant.inUse.append(.seen(key: lease.key, at: now))
          continue
        }
        grant.changes.append(.removeLease(lease.address))
        grant.effects.append(.leaseReclaimed(lease, by: deviceID))
        return lease.address
      }
    } while leases.count == count
    return nil
  }

  /// What a device is told for which there is no address.
  func poolFull(isReclaimPaused: Bool) -> Refusal {
    let isOne = pool.capacity == 1
    let all = isOne ? "its only address is" : "all \(pool.capacity) addresses are"
    let keeper = isOne ? "a device that was" : "devices that were"
    let kept = age > .zero ? ", or kept for \(keeper) here in the last \(Self.text(age))" : ""
    return Refusal(
      .poolFull,
      "the pool \(pool.prefix) is full: \(all) in use\(kept); have the relay's operator "
        + "give it a larger pool (relay.pool) or free leases (mnedc-ctl leases, mnedc-ctl lease free)",
      retryAfter: isReclaimPaused ? Self.retryAfter : nil)
  }

  /// While the relay may not reclaim leases: after how many milliseconds a device without an address may ask again.
  private static let retryAfter = 5_000

  private static func text(_ age: Duration) -> String {
    let seconds = age.components.seconds
    for (unit, length) in [("days", Int64(86_400)), ("hours", 3600), ("minutes", 60)] where seconds >= 2 * length {
      return "\(seconds / length) \(unit)"
    }
    return "\(seconds) seconds"
  }

  // MARK: Operators

  /// Pins the device's lease, moved to `address` if that is another one.
  public func pin(
    _ device: DeviceRecord, to address: IPv4Address?, _ records: any NetworkRecords
  ) throws(StoreError) -> AdmissionOutcome<Result<LeaseRecord, LeaseError>> {
    guard device.status == .active else { return AdmissionOutcome(.failure(.revoked(device.id))) }
    if let fixed = pool.fixed[device.id] { return AdmissionOutcome(.failure(.fixed(device.id, fixed))) }
    let former = try records.lease(ofKey: device.key)
    if let former, pool.isLeasable(former.address), address ?? former.address == former.address {
      let lease = former.pinned(true)
      return AdmissionOutcome(.success(lease), [.putLease(lease)])
    }
    if let address, let problem = try objection(to: address, for: device.id, records) {
      return AdmissionOutcome(.failure(.notForDevice(problem.text, canFree: problem.isLease)))
    }
    let grant = try grant(address, to: device, former: former, records)
    guard let lease = grant.lease?.pinned(true) else { return AdmissionOutcome(.failure(.poolFull(pool.prefix))) }
    return AdmissionOutcome(.success(lease), grant.changes + [.putLease(lease)], grant.effects)
  }

  /// Frees a lease, or removes the pin from that of a connected device. Returns the lease as it is then, or as it was.
  public func free(_ lease: LeaseRecord) -> AdmissionOutcome<Result<LeaseRecord, LeaseError>> {
    if pool.fixed[lease.deviceID] == lease.address {
      return AdmissionOutcome(.failure(.fixed(lease.deviceID, lease.address)))
    }
    guard presence.isInUse(lease) else {
      return AdmissionOutcome(
        .success(lease), [.removeLease(lease.address)], [.leaseMoved(deviceID: lease.deviceID)])
    }
    guard lease.isPinned else { return AdmissionOutcome(.failure(.inUse(lease.deviceID, lease.address))) }
    let unpinned = lease.pinned(false)
    return AdmissionOutcome(.success(unpinned), [.putLease(unpinned)])
  }

  // MARK: Declined admissions

  /// Undoes an admission that the device has declined: removes the device and its lease, and returns the use to its
  /// invite. Changes nothing if the device has connected again.
  public func undoAdmission(
    of request: AdmissionRequest, _ records: any NetworkRecords
  ) throws(StoreError) -> AdmissionOutcome<Void> {
    let key = request.key.bytes
    let lease = try records.lease(ofKey: key)
    if let lease, presence.isInUse(lease) { return AdmissionOutcome(()) }
    return AdmissionOutcome(
      (), try records.undoAdmission(key: key, id: request.deviceID),
      lease.map { [.leaseMoved(deviceID: $0.deviceID)] } ?? [])
  }
}
