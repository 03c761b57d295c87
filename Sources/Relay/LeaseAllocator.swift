internal import Store
internal import SystemIO
internal import Wire

/// Gives devices their addresses. On the store's thread, within the transaction that lets a device in, so that a lease is on
/// the disk before its device hears of it; who is in at the time, the presence knows.
///
/// A device gets the address that is fixed for it; else the one that it insists on; else the one that it has; else the one
/// that it would like; else the lowest free one; else, in a full pool, the one whose device was away for longest.
struct LeaseAllocator: Sendable {
  let presence: Presence
  /// How long a device must have been away before another may get its address.
  let age: Duration
  let pause: ReclaimGracePeriod

  init(presence: Presence, age: Duration, returnTime: Duration) {
    self.presence = presence
    self.age = age
    pause = ReclaimGracePeriod(age: age, returnTime: returnTime)
  }

  /// How a device stands.
  enum Claim {
    case has(IPv4Address)
    /// It needs a lease, of this address or of any.
    case needs(IPv4Address?)
    case refused(Refusal)
  }

  /// What came of giving an address.
  struct Grant {
    var address: IPv4Address?
    /// Whose lease it was until now.
    var reclaimed: LeaseRecord?
    /// Whether there are unused leases that the relay may not reclaim yet.
    var isReclaimPaused = false
    /// The keys of those that were found to use theirs.
    var inUse: [[UInt8]] = []
  }

  // MARK: Who may have what

  /// Reads only. The device is known under the key that it has come with; `dead` is an older session of it that has
  /// answered no echo.
  func claim(
    of applicant: Applicant, over dead: Session?, _ transaction: borrowing Transaction
  ) throws(StoreError) -> Claim {
    let (pool, deviceID) = (presence.network.pool, applicant.deviceID)
    let lease = try transaction.lease(ofKey: applicant.key.bytes).flatMap {
      pool.isLeasable($0.address, to: deviceID) ? $0 : nil
    }
    let insisted = applicant.addressRequired ? applicant.address : nil
    if let fixed = pool.fixed[deviceID] {
      if let insisted, insisted != fixed {
        return .refused(Refusal(.addressTaken, "the relay's configuration gives \(fixed) to \(deviceID); ask for that"))
      }
      return lease?.address == fixed ? .has(fixed) : .needs(fixed)
    }
    if let lease, insisted ?? lease.address == lease.address { return .has(lease.address) }
    if let insisted {
      if let lease, lease.isPinned {
        return .refused(
          Refusal(.addressTaken, "the relay's operator has pinned \(deviceID) to \(lease.address); ask for that"))
      }
      if let problem = try objection(to: insisted, for: deviceID, pool, transaction) {
        return .refused(Refusal(.addressTaken, "\(problem.text); ask for another address or for none"))
      }
      // The address of a session that may live must not become another device's.
      if let lease, presence.isContested(by: applicant, over: dead) { return .has(lease.address) }
      return .needs(insisted)
    }
    if let wish = applicant.address, try objection(to: wish, for: deviceID, pool, transaction) == nil {
      return .needs(wish)
    }
    return .needs(nil)
  }

  /// Why a device cannot have an address.
  struct Objection {
    let text: String
    /// Whether that is another device's lease, which an operator can free.
    var isLease = false
  }

  /// Why a device cannot have an address that is not its own.
  func objection(
    to address: IPv4Address, for deviceID: String, _ pool: LeasePool, _ transaction: borrowing Transaction
  ) throws(StoreError) -> Objection? {
    guard pool.isLeasable(address) else {
      return Objection(
        text: "\(address) cannot be leased: the pool is \(pool.prefix), \(pool.relayAddress) is the relay's own, and "
          + "addresses that end in .0 or .255 are not leased")
    }
    if let owner = pool.owner(of: address), owner != deviceID {
      return Objection(text: "\(address) is fixed for \(owner) by the relay's configuration")
    }
    if let lease = try transaction.lease(at: address), lease.deviceID != deviceID {
      return Objection(text: "\(address) is leased to \(lease.deviceID)", isLease: true)
    }
    return nil
  }

  // MARK: Giving

  /// Gives the device with this key the address that it needs, which is free, or any.
  func grant(
    _ wanted: IPv4Address?, to key: [UInt8], _ deviceID: String, _ transaction: borrowing Transaction, at now: Int64
  ) throws(StoreError) -> Grant {
    let pool = presence.network.pool
    var grant = Grant()
    if let wanted {
      grant.address = wanted
    } else if let free = try transaction.freeAddress(in: pool) {
      grant.address = free
    } else {
      try reclaim(from: pool, transaction, at: now, into: &grant)
    }
    guard let address = grant.address else { return grant }
    if let former = try transaction.lease(ofKey: key), former.address != address { presence.noteMove(of: deviceID) }
    try transaction.lease(address, toKey: key, at: now)
    return grant
  }

  private func reclaim(
    from pool: LeasePool, _ transaction: borrowing Transaction, at now: Int64, into grant: inout Grant
  ) throws(StoreError) {
    let limit = now - age.components.seconds
    guard pause.isOver(at: .now(), UnixTime.now()) else {
      grant.isReclaimPaused = try !transaction.leasesUnused(since: limit, in: pool.prefix, after: nil, limit: 1).isEmpty
      return
    }
    let count = 64
    var leases: [LeaseRecord] = []
    repeat {
      leases = try transaction.leasesUnused(since: limit, in: pool.prefix, after: leases.last, limit: count)
      for lease in leases where pool.isLeasable(lease.address) && pool.owner(of: lease.address) == nil {
        guard presence.withdraw(lease) else {
          grant.inUse.append(lease.key)
          continue
        }
        try transaction.reclaimLease(at: lease.address)
        grant.address = lease.address
        grant.reclaimed = lease
        return
      }
    } while leases.count == count
  }

  /// What a device is told for which there is no address.
  func poolFull(isReclaimPaused: Bool) -> Refusal {
    let pool = presence.network.pool
    let within = age > .zero ? " or of devices that were here within \(Self.text(age))" : ""
    let all = pool.capacity == 1 ? "its only address is" : "all \(pool.capacity) addresses are"
    return Refusal(
      .poolFull,
      "the pool \(pool.prefix) is full: \(all) in use\(within); have the relay's operator "
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
}
