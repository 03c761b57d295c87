internal import Noise
public import Wire

/// A device that has proved to have its key, and what it asks for.
public struct AdmissionRequest: Sendable {
  public let key: PublicKey
  public let deviceID: String
  /// Names the device's process.
  public let instance: String
  /// The address that the device would like, or requires.
  public let address: IPv4Address?
  public let addressRequired: Bool
  public let token: Token?
  public let ciphers: CipherList
  /// Where it connects from, without a port.
  public let host: String
  /// Whether it is the relay's own host.
  public let isRelayHost: Bool
  /// A session of the device that did not answer an echo, which this one may replace.
  public var deadSession: ObjectIdentifier?

  private static let maximumInstance = 64

  public init(_ request: JoinRequest, key: PublicKey, host: String, isRelayHost: Bool = false) {
    self.key = key
    deviceID = request.deviceID
    instance = request.instance
    address = request.address
    addressRequired = request.addressRequired ?? false
    token = request.token
    ciphers = request.ciphers
    self.host = host
    self.isRelayHost = isRelayHost
  }

  /// Why no relay admits it.
  public var objection: Refusal? {
    guard DeviceID.isValid(deviceID) else {
      return Refusal(
        .badRequest,
        "the device ID is not valid: 1 to \(DeviceID.maximumLength) letters, digits, dots, underscores and hyphens, "
          + "with a letter or digit at both ends")
    }
    guard instance.utf8.count <= Self.maximumInstance else {
      return Refusal(.badRequest, "the instance is longer than \(Self.maximumInstance) bytes")
    }
    return nil
  }

  /// Why it cannot have `next` as its next key, whatever the records say.
  public func objection(toNextKey next: PublicKey) -> Refusal? {
    if next == key {
      return Refusal(.keyBound, "the new key is the key that this device has already; make another one")
    }
    guard next.isOfSmallOrder else { return nil }
    return Refusal(
      .badRequest, "the new key is of small order, so that no secret can be agreed on with it; make another one")
  }

  public var fingerprint: String { KeyText.fingerprint(digest: key.digest) }
}

extension Token {
  /// What the store keeps: SHA-256 of the token, which has 128 random bits, so that nothing slower is needed.
  public var hash: [UInt8] { sha256(bytes) }
}
