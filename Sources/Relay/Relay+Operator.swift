// What an operator does, through the control socket. Every `reply` is called once, on any thread.

public import Admission
public import Noise
public import Store
internal import SystemIO
public import Wire

/// Why an operator's command did nothing.
public enum OperatorError: Error, Sendable {
  case name(DeviceNameError)
  /// No device with this name waits; the IDs of those that do.
  case nobodyWaits(String, waiting: [String])
  case store(StoreError)
}

extension Relay {
  /// The relay's present key.
  public var publicKey: PublicKey { settings.keys.publicKey }

  // MARK: Invites

  /// Makes an invite for `uses` devices, valid for `lifetime` seconds and, if it is given, for `deviceID` alone. The
  /// token is in the reply and nowhere else.
  public func createInvite(
    uses: Int, lifetime: Int64, deviceID: String?,
    _ reply: @escaping @Sendable (Result<(invite: InviteRecord, token: Token), StoreError>) -> Void
  ) {
    let token = Token.random()
    settings.store.perform(
      { records throws(StoreError) in
        let now = UnixTime.now()
        return try records.createInvite(
          tokenHash: token.hash, uses: uses, expiresAt: now + lifetime, deviceID: deviceID, at: now)
      },
      then: { result in reply(result.map { ($0, token) }) })
  }

  public func invites(_ reply: @escaping @Sendable (Result<[InviteRecord], StoreError>) -> Void) {
    settings.store.read({ records throws(StoreError) in try records.invites() }, then: reply)
  }

  /// Makes an invite unusable; the devices that it admitted stay.
  public func revokeInvite(_ id: String, _ reply: @escaping @Sendable (Result<InviteRecord, StoreError>) -> Void) {
    settings.store.perform(
      { records throws(StoreError) in try records.revokeInvite(id: id, at: UnixTime.now()) }, then: reply)
  }

  /// Makes all invites unusable; `reply` gets the number of those that were usable.
  public func revokeInvites(_ reply: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    settings.store.perform(
      { records throws(StoreError) in try records.revokeInvites(at: UnixTime.now()) }, then: reply)
  }

  // MARK: Devices

  /// All devices that were ever admitted.
  public func devices(_ reply: @escaping @Sendable (Result<[DeviceRecord], StoreError>) -> Void) {
    settings.store.read({ records throws(StoreError) in try records.devices() }, then: reply)
  }

  // In each of the following, `name` is the device's ID, its host name, its virtual address, or the beginning of its
  // key's fingerprint. `host` is the device ID of the relay's own host, for which the command fails.

  /// The one device that `name` means.
  public func device(
    named name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<DeviceRecord, OperatorError>) -> Void
  ) {
    withDevice(name, sparing: host, { _, device in (device.record, []) }, then: reply)
  }

  /// Refuses the device's key from now on, and ends its session. Changes nothing if the key is revoked.
  public func revoke(
    _ name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<DeviceRecord, OperatorError>) -> Void
  ) {
    withDevice(
      name, sparing: host,
      { records, device throws(StoreError) in try records.revoke(key: device.record.key) },
      then: { [presence] result in
        if case .success(let device) = result {
          presence.dismiss(
            device.id, device.keys, Refusal(.revoked, "the key of \(device.id) was revoked by the relay's operator"))
        }
        reply(result)
      })
  }

  /// Removes a device: it has to be admitted again, and may be.
  public func forget(
    _ name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<[DeviceRecord], OperatorError>) -> Void
  ) {
    withDevice(
      name, sparing: host,
      { records, device throws(StoreError) in
        device.isByKey
          ? try records.forget(key: device.record.key) : try records.forget(id: device.record.id)
      },
      then: { [presence] result in
        if case .success(let devices) = result, let id = devices.first?.id {
          presence.dismiss(
            id, devices.flatMap(\.keys), Refusal(.inviteNeeded, "the relay's operator has removed \(id)"))
        }
        reply(result)
      })
  }

  /// Runs `body` with the device that `name` means, in the operation that finds it.
  private func withDevice<Value: Sendable>(
    _ name: String, sparing host: String?,
    _ body: @escaping @Sendable (any NetworkRecords, NamedDevice) throws(StoreError) -> (Value, [RecordChange]),
    then reply: @escaping @Sendable (Result<Value, OperatorError>) -> Void
  ) {
    settings.store.perform(
      { [presence] records throws(StoreError) -> (Result<Value, DeviceNameError>, [RecordChange]) in
        switch try NamedDevice.find(name, sparing: host, records, presence.network, presence) {
        case .success(let device):
          let (value, changes) = try body(records, device)
          return (.success(value), changes)
        case .failure(let error): return (.failure(error), [])
        }
      },
      then: { result in reply(result.mapError { .store($0) }.flatMap { $0.mapError { .name($0) } }) })
  }

  // MARK: Pending devices

  public var pending: [PendingDevice] { admission.approvals.devices }

  /// Admits the pending device with this ID, host name or beginning of a fingerprint.
  public func approve(_ name: String, _ reply: @escaping @Sendable (Result<PendingDevice, OperatorError>) -> Void) {
    admission.approve(name, reply)
  }

  /// Refuses a pending device for an hour.
  public func deny(_ name: String) throws(OperatorError) -> PendingDevice {
    try admission.approvals.deny(name)
  }

  public var denied: [DeniedDevice] { admission.approvals.denied }

  // MARK: Leases

  /// All leases by address, also those outside the pool.
  public func leases(_ reply: @escaping @Sendable (Result<[LeaseStatus], StoreError>) -> Void) {
    settings.store.read(
      { records throws(StoreError) in try records.leases() },
      then: { [presence] result in
        let (network, holders) = (presence.network, presence.holders)
        reply(
          result.map { leases in
            leases.map { LeaseStatus($0, network, isOnline: holders[$0.address] == $0.deviceID) }
          })
      })
  }

  /// Pins the device to its address, or to `address`, for which a connected device connects again. A device without an
  /// address gets one. `name` and `host` are those of `revoke`.
  public func pinLease(
    of name: String, to address: IPv4Address?, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<LeaseStatus, LeaseError>) -> Void
  ) {
    admission.perform(
      { [presence] allocator, records throws(StoreError) in
        switch try NamedDevice.find(name, sparing: host, records, presence.network, presence) {
        case .success(let device): return try allocator.pin(device.record, to: address, records)
        case .failure(let error): return AdmissionOutcome(.failure(.name(error)))
        }
      },
      then: { [presence] (result: Result<Result<LeaseRecord, LeaseError>, StoreError>) in
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
    admission.perform(
      { [presence] allocator, records throws(StoreError) in
        let address = IPv4Address(name)
        if let address, let lease = try records.lease(at: address) { return allocator.free(lease) }
        switch try NamedDevice.find(name, records, presence.network, presence) {
        case .success(let device):
          if let lease = try records.lease(ofKey: device.record.key) { return allocator.free(lease) }
        // For an address without a lease, `noSuchLease` says more.
        case .failure(let error): if address == nil { return AdmissionOutcome(.failure(.name(error))) }
        }
        return AdmissionOutcome(.failure(.noSuchLease(name)))
      },
      then: { [presence] result in reply(Self.status(result, presence)) })
  }

  private static func status(
    _ result: Result<Result<LeaseRecord, LeaseError>, StoreError>, _ presence: Presence
  ) -> Result<LeaseStatus, LeaseError> {
    result.mapError { .store($0) }.flatMap { $0 }.map { lease in
      LeaseStatus(lease, presence.network, isOnline: presence.holder(of: lease.address) == lease.deviceID)
    }
  }

  /// Makes the pool larger while the relay runs, to a prefix of 8 bits at the least. No address changes, also not the
  /// relay host's; the relay tells every device.
  public func growPool(to prefix: IPv4Prefix, _ reply: @escaping @Sendable (Result<Void, PoolError>) -> Void) {
    settings.store.perform(
      { [presence] records throws(StoreError) in try presence.network.growth(to: prefix, records) },
      then: { [presence] (result: Result<Result<Void, PoolError>, StoreError>) in
        let outcome = result.mapError { PoolError.store($0) }.flatMap { $0 }
        if case .success = outcome, presence.network.pool.prefix != prefix { presence.grow(to: prefix) }
        reply(outcome)
      })
  }

  // MARK: The relay's own key

  /// Changes the relay's key. Devices with a session get the new one in a control message; others get it when they
  /// connect and expect the former one, unless that is forgotten.
  public func replaceKey(with key: PrivateKey, forgettingOld: Bool = false) {
    settings.keys.replace(with: key, forgettingOld: forgettingOld)
    presence.tell(.relayKey(KeyNotice(key: key.publicKey)))
  }
}

extension DeviceRecord {
  fileprivate var keys: [PublicKey] { [key, nextKey].compactMap { $0.flatMap { PublicKey($0) } } }
}

extension Token {
  /// A new one from the system's random numbers.
  static func random() -> Token {
    var random = SystemRandomNumberGenerator()
    guard let token = Token((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }) else {
      preconditionFailure("it has the right size")
    }
    return token
  }
}
