// What is told of keys and secrets. In JSON they stand as base64url without padding.

/// An X25519 public key (RFC 7748): who a device or a relay is.
public struct PublicKey: Sendable, Hashable {
  /// In bytes.
  public static let size = 32

  public let bytes: [UInt8]

  /// Nil unless there are `size` bytes. Any 32 bytes are a key; those without a use are refused in the handshake.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.size else { return nil }
    self.bytes = bytes
  }
}

extension PublicKey: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let bytes = Base64URL.decode(try container.decode(String.self)), let key = PublicKey(bytes) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a key")
    }
    self = key
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Base64URL.encode(bytes))
  }
}

/// The secret of an invite: 16 random bytes.
public struct Token: Sendable, Equatable, Codable {
  public static let size = 16
  public let bytes: [UInt8]

  /// `nil` unless it is 16 bytes.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.size else { return nil }
    self.bytes = bytes
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let bytes = Base64URL.decode(try container.decode(String.self)), let token = Token(bytes) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a token")
    }
    self = token
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Base64URL.encode(bytes))
  }
}
