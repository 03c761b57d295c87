internal import CYAML

extension YAMLParser {
  /// The parts of a libyaml event that the nodes need.
  struct Event {
    enum Kind: Equatable {
      /// Of the stream or a document.
      case start
      /// Of the stream, a document, a sequence or a mapping.
      case end
      case alias(String)
      case scalar(String, isPlain: Bool)
      case sequence
      case mapping
    }

    var kind: Kind
    var mark: Mark
    var anchor: String?
    /// With its handle resolved, as `tag:yaml.org,2002:str`.
    var tag: String?
    /// In Unicode scalars from the beginning of the text.
    var range = 0..<0
    /// Whether a sequence or mapping is in brackets.
    var isFlow = false
  }

  func nextEvent() throws(SourceError) -> Event {
    var raw = yaml_event_t()
    guard yaml_parser_parse(parser, &raw) == 1 else { throw failure() }
    defer { yaml_event_delete(&raw) }

    var event = Event(kind: .end, mark: Mark(raw.start_mark))
    event.range = Int(raw.start_mark.index)..<Int(raw.end_mark.index)
    switch raw.type {
    case YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT:
      event.kind = .start
    case YAML_ALIAS_EVENT:
      event.kind = .alias(String(cString: raw.data.alias.anchor))
    case YAML_SCALAR_EVENT:
      let scalar = raw.data.scalar
      guard scalar.length <= Self.maximumScalar else {
        throw SourceError(mark: event.mark, message: "a text of more than \(Self.maximumScalar) bytes")
      }
      let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      event.kind = .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
      event.anchor = scalar.anchor.map { String(cString: $0) }
      event.tag = scalar.tag.map { String(cString: $0) }
      if scalar.style == YAML_PLAIN_SCALAR_STYLE { try checkVisible(from: event.mark, to: Mark(raw.end_mark)) }
    case YAML_SEQUENCE_START_EVENT:
      event.kind = .sequence
      event.isFlow = raw.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE
      event.anchor = raw.data.sequence_start.anchor.map { String(cString: $0) }
      event.tag = raw.data.sequence_start.tag.map { String(cString: $0) }
    case YAML_MAPPING_START_EVENT:
      event.kind = .mapping
      event.isFlow = raw.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
      event.anchor = raw.data.mapping_start.anchor.map { String(cString: $0) }
      event.tag = raw.data.mapping_start.tag.map { String(cString: $0) }
    default:
      break
    }
    return event
  }

  /// Throws if there is an invisible character, or a space that is not one in YAML, between the marks.
  private func checkVisible(from start: Mark, to end: Mark) throws(SourceError) {
    if let found = source.invisible.first(where: { $0.mark >= start && $0.mark < end }) { throw found.error }
  }

  /// libyaml's message, or a better one for a common mistake.
  private func failure() -> SourceError {
    let mark = Mark(parser.pointee.problem_mark)
    let contextLine = Mark(parser.pointee.context_mark).line
    let isNear = { (line: Int) in [contextLine, mark.line].contains(line) }
    if let found = source.invisible.first(where: { !$0.isInComment && isNear($0.mark.line) }) { return found.error }
    let line = source.line(mark.line)
    let indentation = line.unicodeScalars.prefix { $0 == " " || $0 == "\t" }
    if let tab = indentation.firstIndex(of: "\t") {
      let column = indentation.distance(from: indentation.startIndex, to: tab) + 1
      let message = "a tab cannot indent YAML; use spaces"
      return SourceError(mark: Mark(line: mark.line, column: column), message: message)
    }

    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
    let context = parser.pointee.context.map { String(cString: $0) }
    let contextMark = Mark(parser.pointee.context_mark)
    if let bracket = line.unquotedIPv6 ?? source.line(contextMark.line).unquotedIPv6 {
      let line = line.unquotedIPv6 == nil ? contextMark.line : mark.line
      let message = #"an IPv6 address in brackets must be quoted, as in "[2001:db8::1]:3334""#
      return SourceError(mark: Mark(line: line, column: bracket), message: message)
    }
    switch (problem, context) {
    case ("mapping values are not allowed in this context", _):
      let message = #"a ":" does not fit here; quote a text that holds ": ", or correct the indentation"#
      return SourceError(mark: mark, message: message)
    case ("found character that cannot start any token", _), (_, "while scanning an alias"):
      let start = problem.hasPrefix("found") ? mark : contextMark
      if let character = source.line(start.line).unicodeScalars.dropFirst(start.column - 1).first {
        let message = "a text that begins with \(String(character).quoted) must be quoted"
        return SourceError(mark: start, message: message)
      }
    default: break
    }
    let place = context.map { contextMark.line == mark.line ? " \($0)" : " \($0) from line \(contextMark.line)" }
    return SourceError(mark: mark, message: problem + (place ?? ""))
  }
}

extension Mark {
  fileprivate init(_ mark: yaml_mark_t) {
    self.init(line: mark.line + 1, column: mark.column + 1)
  }
}

extension Substring {
  /// The column of an IPv6 address in brackets, which YAML reads as a list.
  fileprivate var unquotedIPv6: Int? {
    // Nobody writes a longer line by hand.
    let line = unicodeScalars.prefix(1024)
    var previous: Unicode.Scalar = " "
    for (column, index) in zip(1..., line.indices) {
      let scalar = line[index]
      if scalar == "#", previous == " " { return nil }
      if scalar == "[", previous == " " {
        let text = line[index...].dropFirst().prefix { $0 != "]" }
        if ServerAddress.isIPv6(String(String.UnicodeScalarView(text))) { return column }
      }
      previous = scalar
    }
    return nil
  }
}
