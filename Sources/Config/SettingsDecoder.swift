internal import Wire

extension Settings {
  /// Reads a configuration file in spite of mistakes in it: a key with a mistake has its default. If the file is not
  /// YAML, all keys have.
  public static func loadInPart(_ bytes: [UInt8], over defaults: Settings = Settings()) -> Settings {
    var decoder = SettingsDecoder()
    decoder.draft.settings = defaults
    guard let source = try? SourceText(bytes, maximumSize: maximumFileSize), let root = try? YAMLParser.parse(source)
    else { return defaults }
    decoder.decode(root)
    return decoder.draft.settings
  }

  /// Reads a configuration file's bytes. `file` is its name for the error, which holds every problem found; only where
  /// the text is not YAML or passes a limit is that one problem all there is to say.
  public static func load(
    _ bytes: [UInt8], file: String, over defaults: Settings = Settings()
  ) throws(ConfigError) -> Settings {
    var decoder = SettingsDecoder()
    decoder.draft.settings = defaults
    do throws(SourceError) {
      let source = try SourceText(bytes, maximumSize: maximumFileSize)
      if let root = try YAMLParser.parse(source) { decoder.decode(root) }
    } catch {
      decoder.report(error.mark, error.message)
    }
    guard decoder.problems.isEmpty else { throw ConfigError(file: file, problems: decoder.problems) }
    return decoder.draft.settings
  }
}

/// Takes a document's nodes into the settings and collects what is wrong with them.
struct SettingsDecoder {
  var draft = Draft()
  private(set) var problems: [ConfigError.Problem] = []
  /// Where each key of the schema was given, by its path.
  private var given: [String: Mark] = [:]

  mutating func report(_ mark: Mark, _ message: String) {
    problems.append(ConfigError.Problem(line: mark.line, column: mark.column, message: message))
  }

  mutating func decode(_ root: YAMLNode) {
    decode(root.withoutExtensions, section: nil)
    settleServer()
    settleKeepalive()
    settleOrchestration()
  }

  /// A mapping of the schema: the file's top or a section. An empty one is all defaults.
  private mutating func decode(_ node: YAMLNode, section: String?) {
    if node.isNull { return }
    let names = Schema.names(in: section)
    for (name, mark, value) in members(node, names, unknown: { Self.unknownKey($0, names, section) })
    where !value.isWordForNull {
      if let known = Schema.keys.first(where: { $0.section == section && $0.name == name }) {
        given[known.path] = mark
        known.decode(value, &self)
      } else if let inner = Schema.sections.first(where: { $0.parent == section && $0.name == name }) {
        given[inner.path] = mark
        decode(value, section: inner.path)
      }
    }
  }

  /// What a mapping has for the keys `names`; whatever else it has is reported, by `unknown` if it is a key.
  mutating func members(
    _ node: YAMLNode, _ names: [String], unknown: (String) -> String
  ) -> [(name: String, mark: Mark, value: YAMLNode)] {
    guard case .mapping(let pairs) = node.content else {
      report(node.mark, "\(node.kind) instead of keys with values; the keys here are \(names.joined(separator: ", "))")
      return []
    }
    var members: [(name: String, mark: Mark, value: YAMLNode)] = []
    var seen: [String: Mark] = [:]
    for (key, value) in pairs {
      guard case .scalar(let name, _) = key.content else {
        report(key.mark, "\(key.kind) instead of a key; the keys here are \(names.joined(separator: ", "))")
        continue
      }
      if let first = seen[name] {
        report(key.mark, "duplicate key \(name.quotedBriefly); first given on line \(first.line)")
        continue
      }
      seen[name] = key.mark
      if names.contains(name) {
        members.append((name, key.mark, value))
      } else {
        report(key.mark, unknown(name))
      }
    }
    return members
  }

  private static func unknownKey(_ name: String, _ names: [String], _ section: String?) -> String {
    let homes =
      Schema.keys.filter { $0.name == name }.map(\.section) + Schema.sections.filter { $0.name == name }.map(\.parent)
    guard homes.isEmpty else {
      let places = homes.map { $0 ?? "the top of the file" }.joined(separator: " or ")
      return "unknown key \(name.quotedBriefly) here; it belongs to \(places)"
    }
    return unknownKey(name, among: names)
  }

  /// Of a key that is none anywhere.
  static func unknownKey(_ name: String, among names: [String]) -> String {
    var unknown = "unknown key \(name.quotedBriefly)"
    // A letter of another alphabet may look like one of ASCII.
    if let letter = name.unicodeScalars.first(where: { !$0.isASCII && $0.properties.isAlphabetic }) {
      unknown += ", in which \(String(letter).quoted) (\(letter.code)) is no ASCII letter"
    }
    let name = name.replacing(unless: \.isASCII, with: "?")
    if let nearest = suggestion(for: name, among: names) { return "\(unknown); did you mean \(nearest.quoted)?" }
    return "\(unknown); the keys here are \(names.joined(separator: ", "))"
  }

  /// The reference implementation's two keys become a server, unless they contradict `server`.
  private mutating func settleServer() {
    if let port = given["port"], given["server-ip"] == nil {
      report(port, #"port goes with server-ip only; with server write "host:port""#)
    }
    guard let hostMark = given["server-ip"] else { return }
    if let server = given["server"] {
      report(
        max(server, hostMark),
        "server and server-ip both name the relay; keep one (the other is on line "
          + "\(min(server, hostMark).line))")
    }
    guard let host = draft.referenceHost else { return }
    draft.settings.servers = [ServerAddress(host: host, port: draft.referencePort ?? ServerAddress.defaultPort)]
  }

  /// An idle connection is not asked more often than a busy one.
  private mutating func settleKeepalive() {
    let keepalive = draft.settings.relay.keepalive
    guard draft.settings.relay.idleKeepalive < keepalive else { return }
    if let mark = given["relay.idle-keepalive"] {
      let text = ValueKind<Duration>.keepalive.text(keepalive)
      report(mark, "idle-keepalive is less than keepalive; give \(text) or more, or leave it out")
    }
    draft.settings.relay.idleKeepalive = keepalive
  }
}

extension SettingsDecoder {
  /// What this device tells has to fit into one message, whatever the device adds to it.
  private mutating func settleOrchestration() {
    guard let mark = given["join.orchestration"] else { return }
    let size = draft.settings.join.orchestration.information(of: "x").largestSize
    guard size > Orchestration.maximumSize else { return }
    report(
      mark,
      "orchestration is up to \(size) bytes as it is told to peers, of which there may be \(Orchestration.maximumSize); "
        + "give fewer or shorter services and labels")
  }
}

// MARK: Values, for the schema's keys

extension SettingsDecoder {
  mutating func value<Value>(_ node: YAMLNode, _ kind: ValueKind<Value>) -> Value? {
    guard case .scalar(let text, _) = node.content, !node.isNull else {
      report(node.mark, "\(node.kind) instead of \(kind.name); expected \(kind.rule)")
      return nil
    }
    do throws(ValueError) {
      return try kind.parse(text)
    } catch {
      if let value = node.synonym.flatMap({ try? kind.parse($0) }) { return value }
      if let octal = node.octal, (try? kind.parse("\(octal)")) != nil {
        report(
          node.mark,
          "\(text.quotedBriefly) begins with 0, so YAML takes it for the octal form of \(octal); write \(octal) if that is "
            + "meant, else leave out the 0")
        return nil
      }
      report(node.mark, error.message)
      return nil
    }
  }

  /// One value or a list of them, which may have none where that is the default; a value given twice is a slip.
  mutating func values<Value: Hashable>(
    _ node: YAMLNode, _ kind: ValueKind<Value>, mayBeEmpty: Bool
  ) -> [Value]? {
    guard case .sequence(let items) = node.content else { return value(node, kind).map { [$0] } }
    if items.isEmpty, !mayBeEmpty { report(node.mark, "an empty list; expected \(kind.rule)") }
    var values: [Value] = []
    var lines: [Value: Int] = [:]
    for item in items {
      guard let value = value(item, kind) else { continue }
      if let line = lines[value] {
        report(item.mark, "\(kind.text(value)) is listed twice; first on line \(line)")
      } else {
        lines[value] = item.mark.line
      }
      values.append(value)
    }
    return values
  }

  /// A program's path alone, or a list of it and its arguments; an empty list is no program.
  mutating func command(_ node: YAMLNode) -> [String]? {
    guard case .sequence(let items) = node.content else { return value(node, .program).map { [$0] } }
    guard let first = items.first else { return [] }
    let limit = 64
    if items.count > limit { report(items[limit].mark, "more than \(limit) words") }
    var words = [value(first, .program)]
    for item in items.dropFirst().prefix(limit) { words.append(value(item, .argument)) }
    return words.contains(nil) ? nil : words.compactMap { $0 }
  }

  /// At most `limit` names with a value each; a name given twice is a slip, and so is a value if it `isUnique`.
  mutating func mapping<Value: Hashable>(
    _ node: YAMLNode, _ nameKind: ValueKind<String>, _ kind: ValueKind<Value>, limit: Int, isUnique: Bool
  ) -> [String: Value]? {
    guard case .mapping(let pairs) = node.content else {
      report(node.mark, "\(node.kind) instead of a mapping from \(nameKind.name) to \(kind.name)")
      return nil
    }
    if pairs.count > limit { report(pairs[limit].key.mark, "more than \(limit) entries") }
    var values: [String: Value] = [:]
    var names: [String: Int] = [:]
    var holders: [Value: String] = [:]
    for (key, item) in pairs.prefix(limit) {
      let name = value(key, nameKind)
      if let name, let line = names.updateValue(key.mark.line, forKey: name) {
        report(key.mark, "\(name) is listed twice; first on line \(line)")
      }
      guard let value = value(item, kind), let name else { continue }
      if isUnique, let other = holders.updateValue(name, forKey: value), other != name {
        report(item.mark, "\(other) has the same; \(kind.name) belongs to one only")
      }
      values[name] = value
    }
    return values
  }
}

extension YAMLNode {
  /// Without the top-level keys that only hold anchors (`x-…`).
  fileprivate var withoutExtensions: YAMLNode {
    guard case .mapping(let pairs) = content else { return self }
    let own = pairs.filter { pair in pair.key.text?.hasPrefix("x-") != true }
    return YAMLNode(mark: mark, content: .mapping(own), weight: weight)
  }
}
