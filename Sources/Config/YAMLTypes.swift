// The types of YAML 1.1: tags, words for true and false, numbers in other forms, merge keys (https://yaml.org/type/).
// Programs such as Ansible that read and rewrite files use all of them.

extension YAMLParser.Event {
  private static let common = "tag:yaml.org,2002:"

  /// The kind of the value by its tag. Throws if the tag does not fit the value, or is not one of YAML's own.
  func tagged() throws(SourceError) -> Kind {
    guard let tag else { return kind }
    guard tag == "!" || tag.hasPrefix(Self.common) else { throw unknown(tag) }
    switch (kind, tag.dropFirst(tag == "!" ? 1 : Self.common.count)) {
    // PyYAML writes the last two for the texts of Python 2.
    case (.scalar(let text, _), ""), (.scalar(let text, _), "str"), (.scalar(let text, _), "python/unicode"),
      (.scalar(let text, _), "python/str"):
      return .scalar(text, isPlain: false)
    case (.scalar(let text, _), "bool"), (.scalar(let text, _), "int"):
      return .scalar(text, isPlain: true)
    case (.scalar, "null"):
      return .scalar("null", isPlain: true)
    case (.sequence, ""), (.sequence, "seq"), (.sequence, "python/tuple"), (.mapping, ""), (.mapping, "map"):
      return kind
    default:
      throw unknown(tag)
    }
  }

  private func unknown(_ tag: String) -> SourceError {
    let written = tag.hasPrefix(Self.common) ? "!!" + tag.dropFirst(Self.common.count) : tag
    return SourceError(
      mark: mark, message: "the tag \(written.quotedBriefly) has no meaning here; write the plain value")
  }
}

/// The truth value of YAML's words for true and false. `nil` for any other text.
func yamlBoolean(_ text: String) -> Bool? {
  switch text {
  case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y": true
  case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N": false
  default: nil
  }
}

extension YAMLNode {
  /// Another text for the same value: `on` or `off` for a word for true or false, decimal digits for a number in
  /// another form. `nil` if there is none.
  var synonym: String? {
    guard let plainText else { return nil }
    if let truth = yamlBoolean(plainText) { return truth ? "on" : "off" }
    let digits = plainText.utf8.first == UInt8(ascii: "+") ? plainText.dropFirst() : plainText[...]
    return Self.number(digits).map { "\($0)" }
  }

  /// The value of a number that begins with 0, which YAML reads as octal. `nil` for any other text.
  var octal: Int? {
    guard let plainText, plainText.utf8.count > 1, plainText.utf8.first == UInt8(ascii: "0") else { return nil }
    return Self.number(plainText.dropFirst(), radix: 8)
  }

  /// Reads a binary, hexadecimal, or decimal number without a leading zero. Underscores between digits are skipped.
  private static func number(_ text: Substring) -> Int? {
    if text.hasPrefix("0b") { return number(text.dropFirst(2), radix: 2) }
    if text.hasPrefix("0x") { return number(text.dropFirst(2), radix: 16) }
    return text.utf8.first == UInt8(ascii: "0") && text.utf8.count > 1 ? nil : number(text, radix: 10)
  }

  private static func number(_ text: Substring, radix: Int) -> Int? {
    guard text.utf8.first?.isHexDigit == true else { return nil }
    return Int(text.utf8.filter { $0 != UInt8(ascii: "_") }.map { String(UnicodeScalar($0)) }.joined(), radix: radix)
  }

  // MARK: Merge keys

  var isMergeKey: Bool { plainText == "<<" }

  /// The pairs of a merge key's value: a mapping, or a list of mappings. The first pair of a key counts.
  func mergedPairs() throws(SourceError) -> [(key: YAMLNode, value: YAMLNode)] {
    var pairs: [(key: YAMLNode, value: YAMLNode)] = []
    let sources: [YAMLNode] = if case .sequence(let items) = content { items } else { [self] }
    for source in sources {
      guard case .mapping(let own) = source.content else {
        throw SourceError(
          mark: source.mark,
          message:
            "\(source.kind) instead of a mapping; the merge key (<<) takes a mapping or a list of them, such as *name")
      }
      pairs += own
    }
    return pairs
  }
}
