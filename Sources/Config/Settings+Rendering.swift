extension Settings {
  /// The settings in force as a configuration file, which loads back to an equal value. A key that has neither value nor
  /// default is left out.
  public func render() -> String {
    let draft = Draft(settings: self)
    var text = ""
    var section: String?
    for key in Schema.keys {
      let written = key.written(draft)
      if written.isEmpty { continue }
      if key.section != section, let opened = key.section { text += "\(opened):\n" }
      section = key.section
      let indentation = section == nil ? "" : "  "
      text += "\(indentation)\(key.name):"
      switch written {
      case .values(let values) where values.count == 1:
        text += " \(Self.scalar(values[0]))\n"
      case .values(let values):
        text += "\n" + values.map { "\(indentation)  - \(Self.scalar($0))\n" }.joined()
      case .mapping(let pairs):
        text += "\n"
        for (name, value) in pairs { text += "\(indentation)  \(Self.scalar(name)): \(Self.scalar(value))\n" }
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

extension SchemaKey.Written {
  fileprivate var isEmpty: Bool {
    switch self {
    case .values(let values): values.isEmpty
    case .mapping(let pairs): pairs.isEmpty
    }
  }
}
