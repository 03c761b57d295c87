/// The name a device goes by: 1 to 63 of ASCII letters, digits, `.`, `_` and `-`, with a letter or digit at both ends.
public enum DeviceID {
  public static let maximumLength = 63

  public static func isValid(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, bytes.count <= maximumLength else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && bytes.allSatisfy(isAllowed)
  }

  /// The nearest valid ID to any text, such as a host name; `nil` if nothing of it can stay.
  public static func sanitized(_ text: String) -> String? {
    let kept = text.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "-") }
    let trimmed = kept.drop { !isAlphanumeric($0) }.prefix(maximumLength)
    let end = trimmed.lastIndex { isAlphanumeric($0) }
    return end.map { String(decoding: trimmed[...$0], as: UTF8.self) }
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}
