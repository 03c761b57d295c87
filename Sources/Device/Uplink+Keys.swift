// A device's key changes in two steps. The relay accepts both keys until the device has joined with the new one, so no
// crash locks the device out.

internal import Link
internal import Noise
internal import SystemIO
internal import Wire

// How this device moves to another key, and how the relay announces another key of its own.
extension Uplink {
  /// How long to wait before the new key is offered to the relay again.
  private static let offerAgainAfter = Duration.seconds(30)

  /// Moves the device to the key `next`: offers it to the relay under the present key, and makes the connection anew
  /// with it. The device hears of the outcome. False: another change is under way.
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

  /// The relay accepts either key: makes the connection anew with the other one, without waiting.
  func reconnectWithOtherKey() {
    guard let other = otherKey else { return }
    otherKey = key
    key = other
    isKeyNew.toggle()
    endConnection()
    generation += 1
    device.uplinkPauses()
    connect()
  }

  /// The relay has admitted the device with its present key.
  func settleKeys() {
    hasTriedOtherKey = false
    guard otherKey != nil else { return }
    guard isKeyNew else {
      guard !offersOtherKey else { return offerOtherKey() }
      otherKey = nil
      return device.onEvent(.keyKept(nil))
    }
    otherKey = nil
    isKeyNew = false
    device.uplinkReplacedKey(key)
  }

  /// Whether the other key may help: if a change was interrupted, the relay knows only one of them.
  func mayTryOtherKey(after refusal: Refusal) -> Bool {
    guard otherKey != nil, !hasTriedOtherKey else { return false }
    switch refusal.code {
    case .deviceIDTaken, .inviteNeeded, .inviteUnknown, .inviteUsedUp, .inviteExpired, .inviteRevoked,
      .inviteForAnother, .tooManyAttempts, .denied:
      return true
    default: return false
    }
  }

  /// The relay announces the key that it will have.
  func adopt(_ key: PublicKey) {
    guard let relayKey, key != relayKey, adoptions.allow(at: .now()) else { return }
    do {
      try settings.trust.replace(relayKey, with: key, of: serverName)
      device.onEvent(.trusted(key, server: server ?? ""))
    } catch {
      device.onEvent(.warning("the relay announces a new key, which cannot be kept: \(error)"))
    }
  }
}
