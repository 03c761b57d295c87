extension Settings {
  /// The settings in force as a configuration file, which loads back to an equal value. A key that has neither value nor
  /// default is left out.
  public func render() -> String {
    let draft = Draft(settings: self)
    var text = ""
    var section: String?
    for key in Schema.keys {
      let values = key.texts(draft).map(Self.scalar)
      if values.isEmpty { continue }
      if key.section != section, let opened = key.section { text += "\(opened):\n" }
      section = key.section
      let indentation = section == nil ? "" : "  "
      if values.count == 1 {
        text += "\(indentation)\(key.name): \(values[0])\n"
      } else {
        text += "\(indentation)\(key.name):\n" + values.map { "\(indentation)  - \($0)\n" }.joined()
      }
    }
    return text
  }

  /// Plain where this module's loader surely reads the same text, else in quotes.
  private static func scalar(_ text: String) -> String {
    let isPlain =
      text.utf8.first.map { $0.isAlphanumeric || $0.isOne(of: "/") } ?? false
      && text.utf8.allSatisfy { $0.isAlphanumeric || $0.isOne(of: "/._-:") }
      && text.utf8.last != UInt8(ascii: ":") && !["null", "Null", "NULL"].contains(text)
    return isPlain ? text : text.quoted
  }
}
