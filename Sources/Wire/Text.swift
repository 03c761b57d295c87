// Bytes and names as text, and what of others' text may be shown.

/// A value that JSON holds as text.
public protocol TextCodable: Codable {
  var text: String { get }
  /// `nil` unless `text` is exactly such a value.
  init?(text: String)
}

extension TextCodable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = Self(text: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a \(Self.self)")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

/// Base64url without padding (RFC 4648, section 5). Every sequence of bytes has exactly one text.
public enum Base64URL {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  public static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    var (bits, count): (UInt32, UInt32) = (0, 0)
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      count += 8
      while count >= 6 {
        count -= 6
        text.append(digits[Int(bits >> count & 63)])
      }
    }
    if count > 0 { text.append(digits[Int(bits << (6 - count) & 63)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes; `nil` for a foreign character, padding, a length that no bytes have, or bits set behind the last byte.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var bytes: [UInt8] = []
    var (bits, count): (UInt32, UInt32) = (0, 0)
    for character in text.utf8 {
      guard let value = digits.firstIndex(of: character) else { return nil }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> count))
      }
    }
    guard count < 6, bits & (1 << count - 1) == 0 else { return nil }
    return bytes
  }
}

/// The ID of a device: 1 to 63 of ASCII letters, digits, `.`, `_` and `-`, with a letter or digit at both ends.
public enum DeviceID {
  public static let maximumLength = 63

  public static func isValid(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, bytes.count <= maximumLength else { return false }
    return first.isASCIIAlphanumeric && last.isASCIIAlphanumeric && bytes.allSatisfy(isAllowed)
  }

  /// The valid ID that is nearest to any text, such as a host name; `nil` if no character of it can stay.
  public static func sanitized(_ text: String) -> String? {
    let kept = text.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "-") }
    let trimmed = kept.drop { !$0.isASCIIAlphanumeric }.prefix(maximumLength)
    let end = trimmed.lastIndex { $0.isASCIIAlphanumeric }
    return end.map { String(decoding: trimmed[...$0], as: UTF8.self) }
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    byte.isASCIIAlphanumeric || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
  }
}

/// A device ID as a label of the domain name system (RFC 1123, section 2.1).
public enum HostLabel {
  /// The domain of all device names.
  public static let domain = "mnedc"

  /// The domain of one of several networks of a host, under the name that the host gives it: `shop.mnedc`.
  public static func domain(of network: String?) -> String { network.map { "\($0).\(domain)" } ?? domain }

  /// The label of a valid device ID: letters in lower case, and `-` for `.` and `_`. The relay does not let two IDs
  /// with one label into one network.
  public static func label(of deviceID: String) -> String {
    String(
      decoding: deviceID.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "."), UInt8(ascii: "_"): UInt8(ascii: "-")
        default: byte
        }
      }, as: UTF8.self)
  }

  public static func isValid(_ label: String) -> Bool {
    DeviceID.isValid(label) && self.label(of: label) == label
  }
}

extension UInt8 {
  var isASCIIAlphanumeric: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}

extension String {
  /// 1 to `limit` bytes of visible ASCII, without spaces.
  func isVisibleASCII(atMost limit: Int) -> Bool {
    (1...limit).contains(utf8.count) && utf8.allSatisfy { (0x21...0x7E).contains($0) }
  }

  /// With `replacement` for every character that does not pass `test`.
  public func replacing(unless test: (Unicode.Scalar) -> Bool, with replacement: Unicode.Scalar) -> String {
    String(String.UnicodeScalarView(unicodeScalars.map { test($0) ? $0 : replacement }))
  }
}

// Text from other hosts reaches terminals and logs, which obey some characters instead of showing them.
extension Unicode.Scalar {
  /// Neither a control character, nor a format character that changes how others are shown, nor the end of a line.
  public var isHarmless: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
    default: true
    }
  }

  /// Harmless, and with a meaning that is the same on every system.
  public var isVisible: Bool {
    switch properties.generalCategory {
    case .privateUse, .unassigned: false
    default: isHarmless
    }
  }
}
