internal import Wire

extension Settings {
  /// Reads a configuration file that may have mistakes: a key with a mistake has its default. If the file is not YAML,
  /// all keys have their defaults.
  public static func loadInPart(_ bytes: [UInt8], over defaults: Settings = Settings()) -> Settings {
    var decoder = SettingsDecoder(settings: defaults)
    guard let source = try? SourceText(bytes, maximumSize: maximumFileSize), let root = try? YAMLParser.parse(source)
    else { return defaults }
    decoder.decode(root)
    return decoder.settings
  }

  /// Reads a configuration file. The error names `file` and has all problems; if the text is not YAML or exceeds a
  /// limit, it has only that one.
  public static func load(
    _ bytes: [UInt8], file: String, over defaults: Settings = Settings()
  ) throws(ConfigError) -> Settings {
    var decoder = SettingsDecoder(settings: defaults)
    do throws(SourceError) {
      let source = try SourceText(bytes, maximumSize: maximumFileSize)
      if let root = try YAMLParser.parse(source) { decoder.decode(root) }
    } catch {
      decoder.report(error.mark, error.message)
    }
    guard decoder.problems.isEmpty else { throw ConfigError(file: file, problems: decoder.problems) }
    return decoder.settings
  }
}

/// Turns the nodes of a document into settings, and collects the problems.
struct SettingsDecoder {
  var settings: Settings
  fileprivate(set) var problems: [ConfigError.Problem] = []
  /// Where each key and section of the table was given, by its path.
  fileprivate var given: [String: Mark] = [:]

  mutating func report(_ mark: Mark, _ message: String) {
    problems.append(ConfigError.Problem(line: mark.line, column: mark.column, message: message))
  }

  mutating func decode(_ root: YAMLNode) {
    decode(root.withoutExtensions, section: nil)
    settleServer()
    settleKeepalive()
    settleOrchestration()
  }

  /// Reads the top of the file or a section. In an empty one, all keys have their defaults.
  private mutating func decode(_ node: YAMLNode, section: String?) {
    if node.isNull { return }
    let names = Settings.places.filter { $0.section == section }.map(\.name)
    for (name, mark, value) in members(node, names, unknown: { Self.unknownKey($0, names, section) })
    where !value.isWordForNull {
      let path = section.map { "\($0).\(name)" } ?? name
      given[path] = mark
      if let row = Settings.rows.first(where: { $0.path == path }) {
        row.decode(value, &self)
      } else {
        decode(value, section: path)
      }
    }
  }

  /// The values of a mapping for the keys `names`. Reports everything else in it; `unknown` gives the message about
  /// another key.
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
    let homes = Settings.places.filter { $0.name == name }.map(\.section)
    guard homes.isEmpty else {
      let places = homes.map { $0 ?? "the top of the file" }.joined(separator: " or ")
      return "unknown key \(name.quotedBriefly) here; it belongs to \(places)"
    }
    return unknownKey(name, among: names)
  }

  /// The message about a key that no section has.
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

  /// Makes a server of the reference implementation's two keys, which may not stand beside `server`.
  private mutating func settleServer() {
    defer { (settings.serverIP, settings.port) = (nil, nil) }
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
    if let host = settings.serverIP {
      settings.servers = [ServerAddress(host: host, port: settings.port ?? ServerAddress.defaultPort)]
    }
  }

  /// An idle connection never has a shorter keepalive interval than a busy one.
  private mutating func settleKeepalive() {
    let keepalive = settings.relay.keepalive
    guard settings.relay.idleKeepalive < keepalive else { return }
    if let mark = given["relay.idle-keepalive"] {
      report(
        mark,
        "idle-keepalive is less than keepalive; give \(ValueKind<Duration>.text(keepalive)) or more, or leave it out")
    }
    settings.relay.idleKeepalive = keepalive
  }

  /// The orchestration information has to fit into one message, with all that the device adds to it.
  private mutating func settleOrchestration() {
    guard let mark = given["join.orchestration"] else { return }
    let size = settings.join.orchestration.information(of: "x").largestSize
    guard size > Orchestration.maximumSize else { return }
    report(
      mark,
      "orchestration is up to \(size) bytes as it is told to peers, of which there may be "
        + "\(Orchestration.maximumSize); give fewer or shorter services and labels")
  }
}

// MARK: Values, for the rows of the table

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
          "\(text.quotedBriefly) begins with 0, so YAML takes it for the octal form of \(octal); write \(octal) if "
            + "that is meant, else leave out the 0")
        return nil
      }
      report(node.mark, error.message)
      return nil
    }
  }

  /// One value or a list, which may be empty if that is the default. A value must not be listed twice.
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

  /// The path of a program, or a list of the path and the arguments. An empty list means no program.
  mutating func command(_ node: YAMLNode) -> [String]? {
    guard case .sequence(let items) = node.content else { return value(node, .program).map { [$0] } }
    guard let first = items.first else { return [] }
    let limit = 64
    if items.count > limit { report(items[limit].mark, "more than \(limit) words") }
    var words = [value(first, .program)]
    for item in items.dropFirst().prefix(limit) { words.append(value(item, .argument)) }
    return words.contains(nil) ? nil : words.compactMap { $0 }
  }

  /// At most `limit` names with a value each. A name must not be listed twice. With `isUnique`, nor must a value.
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
  /// Without the top-level keys that only hold values for aliases (`x-…`).
  fileprivate var withoutExtensions: YAMLNode {
    guard case .mapping(let pairs) = content else { return self }
    let own = pairs.filter { pair in pair.key.text?.hasPrefix("x-") != true }
    return YAMLNode(mark: mark, content: .mapping(own), weight: weight)
  }
}
