// What an operator does to leases and their pool. Every `reply` is called once, on any thread.

public import Store
internal import SystemIO
public import Wire

extension Relay {
  /// All leases by address, those outside the pool too.
  public func leases(_ reply: @escaping @Sendable (Result<[LeaseStatus], StoreError>) -> Void) {
    let presence = presence
    settings.store.perform(
      { transaction throws(StoreError) in try transaction.leases() },
      then: { result in
        let (network, holders) = (presence.network, presence.holders)
        reply(
          result.map { leases in
            leases.map { LeaseStatus($0, network, isOnline: holders[$0.address] == $0.deviceID) }
          })
      })
  }

  /// Sees to it that the device keeps its address, or gets and keeps `address`, for which it connects anew if it is in. A
  /// device that was let in once and has no address gets one.
  /// `name` and `host` are those of `revoke`.
  public func pinLease(
    of name: String, to address: IPv4Address?, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<LeaseStatus, LeaseError>) -> Void
  ) {
    let (leases, now) = (admission.leases, UnixTime.now())
    settings.store.perform(
      { [presence] transaction throws(StoreError) -> Result<LeaseRecord, LeaseError> in
        switch try NamedDevice.find(name, transaction, presence) {
        case .success(let device) where device.record.id == host: return .failure(.name(.relayHost(device.record.id)))
        case .success(let device): return try leases.pin(device.record, to: address, transaction, at: now)
        case .failure(let error): return .failure(.name(error))
        }
      },
      then: { [presence] result in
        if case .success(.success(let lease)) = result {
          presence.move(
            lease.deviceID, to: lease.address,
            Refusal(.sessionReplaced, "the relay's operator has given \(lease.deviceID) the address \(lease.address)"))
        }
        reply(Self.status(result, presence))
      })
  }

  /// Frees the lease of a device, named by the address or in any form that `revoke` takes, so that another device can
  /// get the address. A connected device only loses its pin; without a pin, this fails.
  public func freeLease(_ name: String, _ reply: @escaping @Sendable (Result<LeaseStatus, LeaseError>) -> Void) {
    let leases = admission.leases
    settings.store.perform(
      { transaction throws(StoreError) in try leases.free(name, transaction) },
      then: { [presence] result in reply(Self.status(result, presence)) })
  }

  private static func status(
    _ result: Result<Result<LeaseRecord, LeaseError>, StoreError>, _ presence: Presence
  ) -> Result<LeaseStatus, LeaseError> {
    result.mapError { .store($0) }.flatMap { $0 }.map { lease in
      LeaseStatus(lease, presence.network, isOnline: presence.holders[lease.address] == lease.deviceID)
    }
  }

  /// Makes the pool larger while the relay runs, to a prefix of 8 bits at the least. Nobody gets another address, the relay's host neither; every device is told.
  public func growPool(to prefix: IPv4Prefix, _ reply: @escaping @Sendable (Result<Void, PoolError>) -> Void) {
    settings.store.perform(
      { [presence] transaction throws(StoreError) -> Result<Void, PoolError> in
        let pool = presence.network.pool
        // What was stored by then, since another growth may be about to be told.
        var network =
          try transaction.network() ?? NetworkRecord(pool: pool.prefix, relayAddress: pool.relayAddress)
        guard prefix.contains(network.pool) else {
          return .failure(.notLarger(prefix, than: network.pool))
        }
        guard prefix != network.pool else { return .success(()) }
        network.pool = prefix
        try transaction.setNetwork(network)
        return .success(())
      },
      then: { [presence] result in
        let outcome = result.mapError { PoolError.store($0) }.flatMap { $0 }
        if case .success = outcome, presence.network.pool.prefix != prefix { presence.grow(to: prefix) }
        reply(outcome)
      })
  }
}

extension LeaseAllocator {
  /// Pins the device's lease, once it has moved to `address` if that is another. Nothing is written if it fails.
  func pin(
    _ device: DeviceRecord, to address: IPv4Address?, _ transaction: borrowing Transaction, at now: Int64
  ) throws(StoreError) -> Result<LeaseRecord, LeaseError> {
    let (pool, deviceID) = (presence.network.pool, device.id)
    guard device.status == .active else { return .failure(.revoked(deviceID)) }
    if let fixed = pool.fixed[deviceID] { return .failure(.fixed(deviceID, fixed)) }
    let present = try transaction.lease(ofKey: device.key).flatMap { pool.isLeasable($0.address) ? $0 : nil }
    let isThere = present.map { address ?? $0.address == $0.address } ?? false
    if !isThere {
      if let address, let problem = try objection(to: address, for: deviceID, pool, transaction) {
        return .failure(.notForDevice(problem.text, canFree: problem.isLease))
      }
      guard try grant(address, to: device.key, deviceID, transaction, at: now).address != nil else {
        return .failure(.poolFull(pool.prefix))
      }
    }
    guard let lease = try transaction.lease(ofKey: device.key) else { return .failure(.noSuchLease(deviceID)) }
    try transaction.pinLease(at: lease.address, true)
    return try transaction.lease(ofKey: device.key).map { .success($0) } ?? .failure(.noSuchLease(deviceID))
  }

  /// Returns the lease as it is then, or as it was.
  func free(_ name: String, _ transaction: borrowing Transaction) throws(StoreError) -> Result<LeaseRecord, LeaseError>
  {
    let pool = presence.network.pool
    var found = try IPv4Address(name).flatMap { address throws(StoreError) in try transaction.lease(at: address) }
    if found == nil {
      switch try NamedDevice.find(name, transaction, presence) {
      case .success(let device): found = try transaction.lease(ofKey: device.record.key)
      // For an address without a lease, `noSuchLease` says more.
      case .failure(let error) where IPv4Address(name) == nil: return .failure(.name(error))
      case .failure: break
      }
    }
    guard let lease = found else { return .failure(.noSuchLease(name)) }
    if pool.fixed[lease.deviceID] == lease.address { return .failure(.fixed(lease.deviceID, lease.address)) }
    if presence.withdraw(lease) {
      try transaction.dropLease(at: lease.address)
      return .success(lease)
    }
    guard lease.isPinned else { return .failure(.inUse(lease.deviceID, lease.address)) }
    try transaction.pinLease(at: lease.address, false)
    return try transaction.lease(at: lease.address).map { .success($0) } ?? .failure(.noSuchLease(name))
  }
}
