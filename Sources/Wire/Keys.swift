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

  /// Whether every key agreement with it yields 32 zero bytes (RFC 7748, section 6.1): it is one of the few points of
  /// small order, such as 0, in any encoding. No device can join with such a key.
  public var isOfSmallOrder: Bool {
    var bytes = bytes
    bytes[31] &= 0x7F  // X25519 ignores the highest bit.
    return Self.smallOrder.contains(bytes)
  }

  /// 0, 1, the two points of order 8, and p - 1, p and p + 1, which stand for -1, 0 and 1; p is 2^255 - 19.
  private static let smallOrder: [[UInt8]] = {
    let first: [UInt8] = [0xEC, 0xED, 0xEE]
    return [[UInt8](repeating: 0, count: size), [1] + [UInt8](repeating: 0, count: size - 1)]
      + first.map { [$0] + [UInt8](repeating: 0xFF, count: size - 2) + [0x7F] }
      + [
        [
          0xE0, 0xEB, 0x7A, 0x7C, 0x3B, 0x41, 0xB8, 0xAE, 0x16, 0x56, 0xE3, 0xFA, 0xF1, 0x9F, 0xC4, 0x6A,
          0xDA, 0x09, 0x8D, 0xEB, 0x9C, 0x32, 0xB1, 0xFD, 0x86, 0x62, 0x05, 0x16, 0x5F, 0x49, 0xB8, 0x00,
        ],
        [
          0x5F, 0x9C, 0x95, 0xBC, 0xA3, 0x50, 0x8C, 0x24, 0xB1, 0xD0, 0xB1, 0x55, 0x9C, 0x83, 0xEF, 0x5B,
          0x04, 0x44, 0x5C, 0xC4, 0x58, 0x1C, 0x8E, 0x86, 0xD8, 0x22, 0x4E, 0xDD, 0xD0, 0x9F, 0x11, 0x57,
        ],
      ]
  }()
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
