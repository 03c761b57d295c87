internal import Wire

extension String {
  /// In double quotes as in YAML, on one line. Control characters and spaces other than the ASCII one are escaped, so
  /// that a terminal does not act upon them and a reader sees them.
  var quoted: String {
    var result = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where scalar.isVisible && (scalar == " " || scalar.properties.generalCategory != .spaceSeparator):
        result.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let width = digits.utf8.count <= 2 ? 2 : digits.utf8.count <= 4 ? 4 : 8
        result += width == 2 ? "\\x" : width == 4 ? "\\u" : "\\U"
        result += String(repeating: "0", count: width - digits.utf8.count) + digits
      }
    }
    return result + "\""
  }

  /// `quoted`, cut to a length that fits an error message.
  var quotedBriefly: String {
    let limit = 60
    guard unicodeScalars.count > limit else { return quoted }
    return String(String.UnicodeScalarView(unicodeScalars.prefix(limit))).quoted + "…"
  }
}
