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
    _ reply: @escaping @Sendable (Result<(invite: Invite, token: Token), StoreError>) -> Void
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

  public func invites(_ reply: @escaping @Sendable (Result<[Invite], StoreError>) -> Void) {
    settings.store.perform({ transaction throws(StoreError) in try transaction.invites() }, then: reply)
  }

  /// Makes an invite useless; whom it has let in stays.
  public func revokeInvite(_ id: String, _ reply: @escaping @Sendable (Result<Invite, StoreError>) -> Void) {
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

  /// Refuses the device's key from now on, and ends its session.
  public func revoke(_ deviceID: String, _ reply: @escaping @Sendable (Result<DeviceRecord, StoreError>) -> Void) {
    settings.store.perform(
      { transaction throws(StoreError) in try transaction.revoke(id: deviceID) },
      then: { [self] result in
        if case .success(let device) = result {
          registry.dismiss(
            deviceID, device.keys, Refusal(.revoked, "the key of \(deviceID) was revoked by the relay's operator"))
        }
        reply(result)
      })
  }

  /// Forgets a device wholly: it has to be admitted anew, and may be.
  public func forget(_ deviceID: String, _ reply: @escaping @Sendable (Result<[DeviceRecord], StoreError>) -> Void) {
    settings.store.perform(
      { transaction throws(StoreError) in try transaction.forget(id: deviceID) },
      then: { [self] result in
        if case .success(let devices) = result {
          registry.dismiss(
            deviceID, devices.flatMap(\.keys),
            Refusal(.inviteNeeded, "the relay's operator has removed \(deviceID)"))
        }
        reply(result)
      })
  }

  // MARK: Devices that wait

  public var pending: [PendingDevice] { desk.pending }

  /// Lets the device in that waits under this ID or fingerprint.
  public func approve(_ name: String, _ reply: @escaping @Sendable (Result<PendingDevice, OperatorError>) -> Void) {
    desk.approve(name, reply)
  }

  /// Turns it away, for an hour.
  public func deny(_ name: String) throws(OperatorError) -> PendingDevice {
    try desk.deny(name)
  }

  /// Those that were turned away, as long as they are.
  public var denied: [DeniedDevice] { desk.denied }

  // MARK: The relay's own key

  /// From now on the relay has this key. Devices that are in are told under the former one; others are when they come and
  /// expect the former one, unless that is forgotten.
  public func replaceKey(with key: PrivateKey, forgettingOld: Bool = false) {
    settings.keys.replace(with: key, forgettingOld: forgettingOld)
    registry.tell(.relayKey(KeyNotice(key: key.publicKey)))
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
