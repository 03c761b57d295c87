// What others have said, made fit for a terminal. Devices check what they are told, so this is the second line.

internal import Wire

extension String {
  /// With `?` for everything that is not seen, or changes how the rest is shown.
  public var harmless: String {
    if utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return self }
    return replacing(unless: \.isVisible, with: "?")
  }

  /// How many columns it takes on a terminal.
  public var columns: Int {
    if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
    return unicodeScalars.reduce(0) { $0 + $1.columns }
  }

  /// What of it has room in so many columns: `…` stands in the last one if that is not all. No character is parted, nor
  /// from what stands on it.
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
  /// By the main ranges of Unicode's East Asian width, and none for what stands on the letter before.
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
