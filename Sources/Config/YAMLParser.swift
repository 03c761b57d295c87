internal import CYAML

/// Builds nodes from libyaml's events for one YAML document. Its limits are far above what a configuration needs.
struct YAMLParser: ~Copyable {
  static let maximumDepth = 32
  /// With every alias expanded, so that a few lines of aliases cannot make billions of values.
  static let maximumNodes = 10_000
  /// Of one scalar, in bytes.
  static let maximumScalar = 4096

  private enum Anchor {
    /// The node has begun and not ended.
    case open
    case node(YAMLNode)
  }

  let source: SourceText
  let parser: UnsafeMutablePointer<yaml_parser_t>
  private var anchors: [String: Anchor] = [:]
  private var nodeCount = 0

  /// The root of the document. `nil` if the text has no document.
  static func parse(_ source: SourceText) throws(SourceError) -> YAMLNode? {
    try source.bytes.withUnsafeBufferPointer { (bytes) throws(SourceError) -> YAMLNode? in
      var parser = YAMLParser(source, bytes)
      return try parser.document()
    }
  }

  /// `bytes` must outlive the parser.
  init(_ source: SourceText, _ bytes: UnsafeBufferPointer<UInt8>) {
    self.source = source
    parser = .allocate(capacity: 1)
    // It fails only without memory, as does the Swift runtime.
    guard yaml_parser_initialize(parser) == 1 else { fatalError("no memory for the YAML parser") }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  private mutating func document() throws(SourceError) -> YAMLNode? {
    guard try nextEvent().kind == .start else { return nil }
    var event = try nextEvent()
    if event.kind == .end { return nil }
    event = try nextEvent()
    let root = try node(event, depth: 0)
    _ = try nextEvent()
    event = try nextEvent()
    guard event.kind == .end else {
      throw SourceError(mark: event.mark, message: "a second document begins here; a configuration is one document")
    }
    return root
  }

  private mutating func node(_ event: Event, depth: Int) throws(SourceError) -> YAMLNode {
    let before = nodeCount
    if case .alias(let name) = event.kind { return try expand(name, event.mark) }
    try count(1, event.mark)
    let kind = try event.tagged()
    if let anchor = event.anchor { anchors[anchor] = .open }

    let content: YAMLNode.Content
    switch kind {
    case .scalar(let text, let isPlain):
      content = .scalar(text, isPlain: isPlain)
    case .sequence:
      try checkDepth(depth, event.mark)
      content = .sequence(try items(depth: depth + 1))
    case .mapping:
      try checkDepth(depth, event.mark)
      content = .mapping(try pairs(depth: depth + 1))
    case .alias, .start, .end:
      preconditionFailure("libyaml promises a node here")
    }
    let node = YAMLNode(mark: event.mark, content: content, weight: nodeCount - before)
    if let anchor = event.anchor { anchors[anchor] = .node(node) }
    return node
  }

  private mutating func items(depth: Int) throws(SourceError) -> [YAMLNode] {
    var items: [YAMLNode] = []
    while true {
      let event = try nextEvent()
      if event.kind == .end { return items }
      items.append(try node(event, depth: depth))
    }
  }

  private mutating func pairs(depth: Int) throws(SourceError) -> [(key: YAMLNode, value: YAMLNode)] {
    var pairs: [(key: YAMLNode, value: YAMLNode)] = []
    var merged: [(key: YAMLNode, value: YAMLNode)] = []
    while true {
      let event = try nextEvent()
      if event.kind == .end { break }
      let key = try node(event, depth: depth)
      let value = try node(nextEvent(), depth: depth)
      if key.isMergeKey { merged += try value.mergedPairs() } else { pairs.append((key, value)) }
    }
    // The mapping's own keys override merged ones, and an earlier merged key a later one.
    var names = Set(pairs.compactMap(\.key.text))
    for pair in merged where pair.key.text.map({ names.insert($0).inserted }) ?? true { pairs.append(pair) }
    return pairs
  }

  private mutating func expand(_ name: String, _ mark: Mark) throws(SourceError) -> YAMLNode {
    switch anchors[name] {
    case .node(let node):
      try count(node.weight, mark)
      return node
    case .open:
      throw SourceError(mark: mark, message: "the alias \(name.quotedBriefly) stands inside the value that it names")
    case nil:
      let message = "no anchor \(name.quotedBriefly) stands before this alias; quote a text that begins with *"
      throw SourceError(mark: mark, message: message)
    }
  }

  private mutating func count(_ nodes: Int, _ mark: Mark) throws(SourceError) {
    nodeCount += nodes
    guard nodeCount <= Self.maximumNodes else {
      let message =
        "more than \(Self.maximumNodes) values, aliases expanded; this is more than a configuration can need"
      throw SourceError(mark: mark, message: message)
    }
  }

  private func checkDepth(_ depth: Int, _ mark: Mark) throws(SourceError) {
    guard depth < Self.maximumDepth else {
      throw SourceError(mark: mark, message: "nested more than \(Self.maximumDepth) levels deep")
    }
  }
}
