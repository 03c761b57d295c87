/// A key or secret of a fixed size, in JSON as base64url.
public protocol FixedBytes: Hashable, Sendable, TextCodable {
  /// In bytes.
  static var size: Int { get }
  var bytes: [UInt8] { get }
  /// `nil` unless there are `size` bytes.
  init?(_ bytes: [UInt8])
}

extension FixedBytes {
  public var text: String { Base64URL.encode(bytes) }

  public init?(text: String) {
    guard let bytes = Base64URL.decode(text) else { return nil }
    self.init(bytes)
  }
}

/// An X25519 public key (RFC 7748), which identifies a device or a relay. Any 32 bytes are a key; the handshake refuses
/// those of small order.
public struct PublicKey: FixedBytes {
  public static let size = 32
  public let bytes: [UInt8]

  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.size else { return nil }
    self.bytes = bytes
  }

  /// Whether every key agreement with it yields 32 zero bytes (RFC 7748, section 6.1), because it is one of the few
  /// points of small order, such as 0, in any encoding. No device can join with such a key.
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

/// The secret of an invite: random bytes.
public struct Token: FixedBytes {
  public static let size = 16
  public let bytes: [UInt8]

  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.size else { return nil }
    self.bytes = bytes
  }
}

/// The authenticated ciphers of a session, both with keys of 256 bits and tags of 128. The preferred one comes first.
public enum CipherSuite: String, CaseIterable, Sendable, Codable {
  /// NIST SP 800-38D.
  case aes256GCM = "aes-256-gcm"
  /// RFC 8439.
  case chaCha20Poly1305 = "chacha20-poly1305"
}

/// The ciphers that a device has for sessions with its peers. A reader leaves out unknown and repeated ones.
public struct CipherList: Sendable, Equatable, Codable {
  public let ciphers: [CipherSuite]

  public init(_ ciphers: [CipherSuite]) {
    self.ciphers = ciphers
  }

  public init(from decoder: any Decoder) throws {
    let names = try decoder.singleValueContainer().decode([String].self)
    ciphers = CipherSuite.allCases.filter { names.contains($0.rawValue) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(ciphers)
  }

  /// The cipher of a session between a device with these and one with `others`: AES-256-GCM where both have it.
  public func common(with others: CipherList) -> CipherSuite? {
    CipherSuite.allCases.first { ciphers.contains($0) && others.ciphers.contains($0) }
  }
}
