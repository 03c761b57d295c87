extension Settings {
  /// The settings in force as a configuration file, which loads back to an equal value. A key that has neither value nor
  /// default is left out.
  public func render() -> String {
    let draft = Draft(settings: self)
    var text = ""
    // The sections that the last line stands in.
    var open: [Substring] = []
    for key in Schema.keys {
      let written = key.written(draft)
      if written.isEmpty { continue }
      let sections = key.section?.split(separator: ".") ?? []
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for (depth, name) in sections.enumerated().dropFirst(common) { text += "\(Self.indentation(depth))\(name):\n" }
      open = sections
      text += Self.line(key.name, written, depth: sections.count)
    }
    return text
  }

  private static func line(_ name: String, _ written: SchemaKey.Written, depth: Int) -> String {
    let (outer, inner) = (indentation(depth), indentation(depth + 1))
    switch written {
    case .values(let values) where values.count == 1:
      return "\(outer)\(name): \(scalar(values[0]))\n"
    case .values(let values):
      return "\(outer)\(name):\n" + values.map { "\(inner)- \(scalar($0))\n" }.joined()
    case .mapping(let pairs):
      return "\(outer)\(name):\n" + pairs.map { "\(inner)\(scalar($0.name)): \(scalar($0.value))\n" }.joined()
    case .entries(let entries):
      return "\(outer)\(name):\n" + entries.map { "\(inner)- \(item($0.name, $0.members, depth: depth + 2))" }.joined()
    }
  }

  private static func item(_ name: String, _ members: [(name: String, value: String)], depth: Int) -> String {
    if members.isEmpty { return "\(scalar(name))\n" }
    return "name: \(scalar(name))\n" + members.map { "\(indentation(depth))\($0.name): \(scalar($0.value))\n" }.joined()
  }

  private static func indentation(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

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
    case .entries(let entries): entries.isEmpty
    }
  }
}
