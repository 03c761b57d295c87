/// The text forms of X25519 keys: a word that says what the key is for, a colon, and the key's 32 bytes in base64url.
public enum KeyText: String, CaseIterable, Sendable {
  /// A relay's public key, as `server-key` pins it.
  case relay = "mnedc-relay"
  /// A device's public key.
  case device = "mnedc-device"
  /// A private key of either, as its file holds it. No message contains one.
  case privateKey = "mnedc-private-key"

  /// The size of every key, in bytes (RFC 7748, section 5).
  public static let keySize = 32

  /// The text of a key of 32 bytes.
  public func text(_ key: [UInt8]) -> String {
    precondition(key.count == Self.keySize, "a key has 32 bytes")
    return prefix + Base64URL.encode(key)
  }

  /// The 32 bytes of a key of this kind, written as `text` writes it.
  public func parse(_ text: some StringProtocol) throws(KeyTextError) -> [UInt8] {
    guard text.utf8.starts(with: prefix.utf8) else {
      if text.utf8.starts(with: InviteText.prefix.utf8) { throw .invite }
      throw Self.kind(of: text).map { .otherKind($0) } ?? .noPrefix
    }
    let digits = text.utf8.dropFirst(prefix.utf8.count)
    guard digits.count == Self.digitCount else { throw .wrongLength(digits.count) }
    guard let key = Base64URL.decode(String(decoding: digits, as: UTF8.self)) else { throw .notBase64URL }
    return key
  }

  /// The fingerprint that people compare: `SHA256:` and the base64url of `digest`, the 32 bytes of a key's SHA-256.
  public static func fingerprint(digest: [UInt8]) -> String {
    precondition(digest.count == 32, "a SHA-256 digest has 32 bytes")
    return "SHA256:" + Base64URL.encode(digest)
  }

  /// The start of a fingerprint from `text`, which may lack `SHA256:`; `nil` if it is shorter than 4 characters, and so
  /// more likely a mistake.
  public static func fingerprintStart(_ text: String) -> String? {
    let word = "SHA256:"
    let digits = text.hasPrefix(word) ? text.dropFirst(word.count) : text[...]
    return digits.utf8.count < 4 ? nil : word + digits
  }

  /// The kind of key that a text begins as.
  static func kind(of text: some StringProtocol) -> KeyText? {
    allCases.first { text.utf8.starts(with: $0.prefix.utf8) }
  }

  public var prefix: String { rawValue + ":" }

  /// The length of 32 bytes in base64url.
  static let digitCount = 43
}

/// Why a text is not the expected key. The description follows the text in a message, and quotes nothing of it.
public enum KeyTextError: Error, Equatable, Sendable, CustomStringConvertible {
  case otherKind(KeyText)
  case invite
  case noPrefix
  /// How many bytes follow the prefix.
  case wrongLength(Int)
  case notBase64URL

  public var description: String {
    switch self {
    case .otherKind(.relay): "is the key of a relay"
    case .otherKind(.device): "is the key of a device"
    case .otherKind(.privateKey): "is a private key, which is for nobody to see"
    case .invite: "is an invite, not a key"
    case .noPrefix: "is no key of this suite"
    case .wrongLength(let count): "has \(count) characters behind the colon in place of \(KeyText.digitCount)"
    case .notBase64URL: "has a character that no key has there; was it copied right?"
    }
  }
}
