internal import Link
internal import Noise
internal import SystemIO
internal import Wire

// How this device moves to another key, and takes the relay's word for another of its own.
extension Uplink {
  /// How long to wait until the relay is told of a new key once more.
  private static let offerAgainAfter = Duration.seconds(30)

  /// Moves the device to the key `next`: the relay is told of it under the present one, and the connection is made anew with it.
  /// The delegate hears of the end. False: another change is under way.
  func replaceKey(with next: PrivateKey) -> Bool {
    guard otherKey == nil else { return false }
    otherKey = next
    offersOtherKey = true
    offerOtherKey()
    return true
  }

  func offerOtherKey() {
    guard !isKeyNew, let otherKey, let connection else { return }
    connection.send(control: ControlMessage.nextKey(KeyNotice(key: otherKey.publicKey)).frame())
  }

  func offerAgain() {
    guard !isOfferScheduled else { return }
    isOfferScheduled = true
    events.schedule(after: Self.offerAgainAfter) { [weak self] in
      self?.isOfferScheduled = false
      self?.offerOtherKey()
    }
  }

  /// The relay takes either key: on with the other one, without waiting. Interface and address stay.
  func reconnectWithOtherKey() {
    guard let other = otherKey else { return }
    otherKey = key
    key = other
    isKeyNew.toggle()
    endConnection()
    generation += 1
    delegate.uplinkPauses()
    connect()
  }

  /// The device is in with its present key.
  func settleKeys() {
    hasTriedOtherKey = false
    guard otherKey != nil else { return }
    guard isKeyNew else {
      guard !offersOtherKey else { return offerOtherKey() }
      otherKey = nil
      return delegate.uplinkKeptKey(nil)
    }
    otherKey = nil
    isKeyNew = false
    delegate.uplinkReplacedKey(key)
  }

  /// The relay does not know the present key. If a change was interrupted, it knows the other one.
  func mayTryOtherKey(after refusal: Refusal) -> Bool {
    guard otherKey != nil, !hasTriedOtherKey else { return false }
    switch refusal.code {
    case .deviceIDTaken, .inviteNeeded, .inviteUnknown, .inviteUsedUp, .inviteExpired, .inviteRevoked,
      .inviteForAnother,
      .tooManyAttempts, .denied:
      return true
    default: return false
    }
  }

  /// The relay announces the key that it will have.
  func adopt(_ key: PublicKey) {
    guard let relayKey, key != relayKey, adoptions.allow(at: .now()) else { return }
    do {
      try settings.trust.replace(relayKey, with: key, of: serverName)
      delegate.uplinkTrusts(key)
    } catch {
      delegate.uplinkWarns("the relay announces a new key, which cannot be kept: \(error)")
    }
  }
}
