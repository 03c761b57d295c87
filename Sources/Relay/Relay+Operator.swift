// What an operator does, by way of the local socket.

public import Noise
public import Store
internal import SystemIO
public import Wire

extension Relay {
  /// The relay's present key.
  public var publicKey: PublicKey { settings.keys.publicKey }

  // MARK: Invites

  /// Makes an invite for `uses` devices, good for `lifetime` seconds and, if it is given, for `deviceID` alone. The token is
  /// in the reply and nowhere else. `reply` is called on any thread.
  public func createInvite(
    uses: Int, lifetime: Int64, deviceID: String?,
    _ reply: @escaping @Sendable (Result<(invite: InviteRecord, token: Token), StoreError>) -> Void
  ) {
    let token = Token.random()
    let now = UnixTime.now()
    settings.store.perform(
      { transaction throws(StoreError) in
        try transaction.createInvite(
          tokenHash: token.hash, uses: uses, expiresAt: now + lifetime, deviceID: deviceID, at: now)
      },
      then: { result in reply(result.map { ($0, token) }) })
  }

  public func invites(_ reply: @escaping @Sendable (Result<[InviteRecord], StoreError>) -> Void) {
    settings.store.perform({ transaction throws(StoreError) in try transaction.invites() }, then: reply)
  }

  /// Makes an invite useless; whom it has let in stays.
  public func revokeInvite(_ id: String, _ reply: @escaping @Sendable (Result<InviteRecord, StoreError>) -> Void) {
    settings.store.perform(
      { transaction throws(StoreError) in try transaction.revokeInvite(id: id, at: UnixTime.now()) }, then: reply)
  }

  /// Makes all invites useless that there are; `reply` gets how many of them were good for something still.
  public func revokeInvites(_ reply: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    settings.store.perform(
      { transaction throws(StoreError) in try transaction.revokeInvites(at: UnixTime.now()) }, then: reply)
  }

  // MARK: Devices

  /// All that were ever admitted.
  public func devices(_ reply: @escaping @Sendable (Result<[DeviceRecord], StoreError>) -> Void) {
    settings.store.perform({ transaction throws(StoreError) in try transaction.devices() }, then: reply)
  }

  // In each of the following, `name` is the device's ID, its host name, its virtual address, or the beginning of its
  // key's fingerprint. `host` is the device ID of the relay's own host, for which the command fails.

  /// The one device that `name` means.
  public func device(
    named name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<DeviceRecord, OperatorError>) -> Void
  ) {
    withDevice(name, sparing: host, { (_, device) in device.record }, then: reply)
  }

  /// Refuses the device's key from now on, and ends its session. Nothing happens if the key is revoked already.
  public func revoke(
    _ name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<DeviceRecord, OperatorError>) -> Void
  ) {
    withDevice(
      name, sparing: host,
      { (transaction, device) throws(StoreError) in try transaction.revoke(key: device.record.key) },
      then: { [self] result in
        if case .success(let device) = result {
          presence.dismiss(
            device.id, device.keys, Refusal(.revoked, "the key of \(device.id) was revoked by the relay's operator"))
        }
        reply(result)
      })
  }

  /// Forgets a device wholly: it has to be admitted anew, and may be.
  public func forget(
    _ name: String, sparing host: String? = nil,
    _ reply: @escaping @Sendable (Result<[DeviceRecord], OperatorError>) -> Void
  ) {
    withDevice(
      name, sparing: host,
      { (transaction, device) throws(StoreError) in
        device.isByKey
          ? [try transaction.forget(key: device.record.key)] : try transaction.forget(id: device.record.id)
      },
      then: { [self] result in
        if case .success(let devices) = result, let id = devices.first?.id {
          presence.dismiss(
            id, devices.flatMap(\.keys), Refusal(.inviteNeeded, "the relay's operator has removed \(id)"))
        }
        reply(result)
      })
  }

  /// Does `body` with the device that `name` means, in the transaction in which it was found.
  private func withDevice<Value: Sendable>(
    _ name: String, sparing host: String?,
    _ body: @escaping @Sendable (borrowing Transaction, NamedDevice) throws(StoreError) -> Value,
    then reply: @escaping @Sendable (Result<Value, OperatorError>) -> Void
  ) {
    settings.store.perform(
      { [presence] transaction throws(StoreError) -> Result<Value, DeviceNameError> in
        switch try NamedDevice.find(name, transaction, presence) {
        case .success(let device) where device.record.id == host: return .failure(.relayHost(device.record.id))
        case .success(let device): return .success(try body(transaction, device))
        case .failure(let error): return .failure(error)
        }
      },
      then: { result in
        reply(result.mapError { .store($0) }.flatMap { $0.mapError { .name($0) } })
      })
  }

  // MARK: Devices that wait

  public var pending: [PendingDevice] { admission.pending }

  /// Admits the pending device with this ID, host name or beginning of a fingerprint.
  public func approve(_ name: String, _ reply: @escaping @Sendable (Result<PendingDevice, OperatorError>) -> Void) {
    admission.approve(name, reply)
  }

  /// Turns it away, for an hour.
  public func deny(_ name: String) throws(OperatorError) -> PendingDevice {
    try admission.deny(name)
  }

  /// Those that were turned away, as long as they are.
  public var denied: [DeniedDevice] { admission.denied }

  // MARK: The relay's own key

  /// From now on the relay has this key. Devices that are in are told under the former one; others are when they come and
  /// expect the former one, unless that is forgotten.
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
