internal import Wire

// Text of other hosts, made safe for a terminal. Devices check what they receive, so this is the second check.

extension String {
  /// The text with `?` for characters that are invisible or change how the rest is shown.
  public var harmless: String {
    if utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return self }
    return replacing(unless: \.isVisible, with: "?")
  }

  /// The columns that it takes on a terminal.
  public var columns: Int {
    if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
    return unicodeScalars.reduce(0) { $0 + $1.columns }
  }

  /// The part that fits into so many columns, with `…` in the last one if that is not all. Characters stay whole.
  public func cut(to width: Int) -> String {
    guard columns > width else { return self }
    guard width > 0 else { return "" }
    var (used, kept) = (0, "")
    for character in self {
      used += String(character).columns
      if used > width - 1 { break }
      kept.append(character)
    }
    return kept + "…"
  }
}

extension Unicode.Scalar {
  /// By the main ranges of Unicode's East Asian width; combining marks take none.
  fileprivate var columns: Int {
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: break
    }
    switch value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}

enum ShellText {
  /// A word of a command line, in quotes if a shell would read it otherwise.
  static func word(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"):
        true
      default: "/._-:=,@+%".utf8.contains(byte)
      }
    }
    if isPlain, !text.isEmpty { return text }
    let parts = text.split(separator: "'", omittingEmptySubsequences: false)
    return "'" + parts.joined(separator: #"'\''"#) + "'"
  }
}
