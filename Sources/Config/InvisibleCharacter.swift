/// An invisible character, or one that looks like a space and is not a space in YAML. Text copied from a web page or a
/// word processor may contain such characters.
struct InvisibleCharacter: Sendable {
  let mark: Mark
  let isInComment: Bool
  private let scalar: Unicode.Scalar

  static func all(in lines: [Substring]) -> [InvisibleCharacter] {
    var found: [InvisibleCharacter] = []
    for (number, line) in zip(1..., lines) {
      var isInComment = false
      var previous: Unicode.Scalar = " "
      for (column, scalar) in zip(1..., line.unicodeScalars) {
        if scalar == "#", previous == " " || previous == "\t" { isInComment = true }
        if isOne(scalar) {
          found.append(
            InvisibleCharacter(mark: Mark(line: number, column: column), isInComment: isInComment, scalar: scalar))
        }
        previous = scalar
      }
    }
    return found
  }

  private static func isOne(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .format: true
    case .spaceSeparator: scalar != " "
    default: false
    }
  }

  private var isSpace: Bool { scalar.properties.generalCategory == .spaceSeparator }

  /// With its article.
  private var name: String {
    switch scalar.value {
    case 0xA0: "a no-break space"
    case 0xAD: "a soft hyphen"
    case 0x200B: "a zero-width space"
    case 0x200C: "a zero-width non-joiner"
    case 0x200D: "a zero-width joiner"
    case 0x61C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: "a mark for the direction of writing"
    case 0x202F: "a narrow no-break space"
    case 0x2060: "a word joiner"
    case 0x3000: "an ideographic space"
    case 0xFEFF: "a byte order mark"
    default: isSpace ? "a space of another width" : "an invisible character"
    }
  }

  /// The error for a file with this character.
  var error: SourceError {
    let advice =
      isSpace ? "which is no space to YAML; type a space instead" : "which is invisible; remove it"
    return SourceError(
      mark: mark, message: "\(name) (\(scalar.code)) stands here, \(advice), or quote the text that is to have it")
  }
}

extension Unicode.Scalar {
  /// Its code point, such as `U+00A0`.
  var code: String {
    let number = String(value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - number.utf8.count)) + number
  }
}
