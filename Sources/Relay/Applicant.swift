internal import Noise
internal import SystemIO
internal import Wire

/// Where a connection comes from.
struct ConnectionOrigin: Sendable {
  /// Address and port, for people.
  let name: String
  /// The address alone, or an IPv6 address's first half, by which strangers are limited.
  let host: String
  /// The address alone; `nil` for the relay host.
  let address: String?

  static let relayHost = ConnectionOrigin(name: "this host", host: "this host", address: nil)

  init(_ address: SocketAddress) {
    self.init(name: address.description, host: address.neighbourhood, address: address.host)
  }

  private init(name: String, host: String, address: String?) {
    self.name = name
    self.host = host
    self.address = address
  }

  /// Whether this is the relay host itself, whose connection leaves no process.
  var isRelayHost: Bool { address == nil }
}

/// A device that has proved to have its key, and what it asks for.
struct Applicant: Sendable {
  let key: PublicKey
  let origin: ConnectionOrigin
  let deviceID: String
  let instance: String
  let address: IPv4Address?
  let addressRequired: Bool
  let token: Token?
  let ciphers: CipherList

  private static let maximumInstance = 64

  init(_ request: JoinRequest, key: PublicKey, origin: ConnectionOrigin) {
    self.key = key
    self.origin = origin
    deviceID = request.deviceID
    instance = request.instance
    address = request.address
    addressRequired = request.addressRequired ?? false
    token = request.token
    ciphers = request.ciphers
  }

  /// Why it cannot be let in, whoever it is.
  var objection: Refusal? {
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

  /// Why it cannot have `next` as its next key, whatever the store knows.
  func objection(toNextKey next: PublicKey) -> Refusal? {
    if next == key {
      return Refusal(.keyBound, "the new key is the key that this device has already; make another one")
    }
    guard next.isOfSmallOrder else { return nil }
    return Refusal(
      .badRequest, "the new key is of small order, so that no secret can be agreed on with it; make another one")
  }

  var fingerprint: String { KeyText.fingerprint(digest: key.digest) }
}
