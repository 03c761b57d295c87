extension Settings {
  /// The settings as a configuration file, which loads back to equal settings. Leaves out a key that has neither a
  /// value nor a default.
  public func render() -> String {
    var text = ""
    // The sections of the last line.
    var open: ArraySlice<Substring> = []
    for key in Self.rows {
      let written = key.written(in: self)
      if written.isEmpty { continue }
      let names = key.path.split(separator: ".")
      let sections = names.dropLast()
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for (depth, name) in sections.enumerated().dropFirst(common) { text += "\(Self.indentation(depth))\(name):\n" }
      open = sections
      text += Self.line(names[sections.count], written, depth: sections.count)
    }
    return text
  }

  private static func line(_ name: Substring, _ written: Written, depth: Int) -> String {
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

  /// In quotes unless the loader reads the plain text as the same value.
  private static func scalar(_ text: String) -> String {
    let isPlain =
      text.utf8.first.map { $0.isAlphanumeric || $0.isOne(of: "/") } ?? false
      && text.utf8.allSatisfy { $0.isAlphanumeric || $0.isOne(of: "/._-:") }
      && text.utf8.last != UInt8(ascii: ":") && !["null", "Null", "NULL"].contains(text)
    return isPlain ? text : text.quoted
  }
}

extension Written {
  fileprivate var isEmpty: Bool {
    switch self {
    case .values(let values): values.isEmpty
    case .mapping(let pairs): pairs.isEmpty
    case .entries(let entries): entries.isEmpty
    }
  }
}
