internal import CYAML

extension Settings {
  /// `file` with these top-level keys set to these values. The rest stays as it is, with its comments. A missing key is
  /// added at the end. Throws if `file` is not YAML.
  ///
  /// The caller must check the result by `load`: some layouts do not allow the change.
  public static func edited(
    _ file: [UInt8], setting changes: [(key: String, values: [String])]
  ) throws(ConfigError) -> [UInt8] {
    let text: (source: SourceText, entries: [(key: String, value: Range<Int>)])
    do throws(SourceError) {
      let source = try SourceText(file, maximumSize: maximumFileSize)
      text = (source, try YAMLParser.topEntries(source))
    } catch {
      throw ConfigError(
        file: "",
        problems: [ConfigError.Problem(line: error.mark.line, column: error.mark.column, message: error.message)])
    }
    var characters = Array(String(decoding: text.source.bytes, as: UTF8.self).unicodeScalars)
    var added = ""
    let places = Dictionary(text.entries.map { ($0.key, $0.value) }) { first, _ in first }
    let present = changes.compactMap { change in places[change.key].map { (place: $0, values: change.values) } }
    // From the end, because a replacement moves everything after it.
    for (place, newValues) in present.sorted(by: { $0.place.lowerBound > $1.place.lowerBound }) {
      let values = newValues.map(quoted)
      let value = values.count == 1 ? values[0] : "[\(values.joined(separator: ", "))]"
      characters.replaceSubrange(place, with: Array(((place.isEmpty ? " " : "") + value).unicodeScalars))
    }
    for change in changes where places[change.key] == nil {
      added +=
        change.values.count == 1
        ? "\(change.key): \(quoted(change.values[0]))\n"
        : "\(change.key):\n" + change.values.map { "  - \(quoted($0))\n" }.joined()
    }
    let mark = file.prefix(file.count - text.source.bytes.count)
    var content = Array(mark) + Array(String(String.UnicodeScalarView(characters)).utf8)
    if !added.isEmpty, let last = content.last, last != UInt8(ascii: "\n") { content.append(UInt8(ascii: "\n")) }
    content += Array(added.utf8)
    return content
  }

  /// For values in ASCII without quotes and backslashes.
  private static func quoted(_ value: String) -> String { "\"\(value)\"" }
}

extension YAMLParser {
  /// The top-level keys of a document, and the place of each value: in Unicode scalars, without a comment after it.
  static func topEntries(_ source: SourceText) throws(SourceError) -> [(key: String, value: Range<Int>)] {
    try source.bytes.withUnsafeBufferPointer { (bytes) throws(SourceError) -> [(key: String, value: Range<Int>)] in
      let parser = YAMLParser(source, bytes)
      return try parser.topEntries()
    }
  }

  private borrowing func topEntries() throws(SourceError) -> [(key: String, value: Range<Int>)] {
    guard try nextEvent().kind == .start, try nextEvent().kind == .start, try nextEvent().kind == .mapping else {
      return []
    }
    var entries: [(key: String, value: Range<Int>)] = []
    while true {
      let key = try nextEvent()
      if key.kind == .end { return entries }
      _ = try end(of: key)
      let value = try nextEvent()
      let end = try end(of: value)
      if case .scalar(let name, _) = key.kind { entries.append((name, value.range.lowerBound..<end)) }
    }
  }

  /// Reads a node to its end. A list or mapping without brackets ends with its last value: libyaml puts its end at the
  /// next token.
  private borrowing func end(of event: Event) throws(SourceError) -> Int {
    guard event.kind == .sequence || event.kind == .mapping else { return event.range.upperBound }
    var last = event.range.upperBound
    while true {
      let inner = try nextEvent()
      if inner.kind == .end { return event.isFlow ? inner.range.upperBound : last }
      last = try end(of: inner)
    }
  }
}
