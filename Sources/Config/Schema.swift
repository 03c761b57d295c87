/// One key of the file: what it is called, how its value gets into the settings, and how it is written out again.
struct SchemaKey: Sendable {
  /// The mapping that holds it; `nil` at the top of the file.
  let section: String?
  let name: String
  let decode: @Sendable (YAMLNode, inout SettingsDecoder) -> Void
  /// The value in force as text.
  let written: @Sendable (Draft) -> Written

  var path: String { section.map { "\($0).\(name)" } ?? name }

  enum Written: Sendable {
    /// One value or a list; empty if there is none.
    case values([String])
    /// Names with a value each; empty if there is none.
    case mapping([(name: String, value: String)])
  }
}

/// The settings while they are read, with what only the file knows.
struct Draft: Sendable {
  var settings = Settings()
  /// `server-ip` and `port` of the reference implementation's file.
  var referenceHost: String?
  var referencePort: UInt16?
}

typealias DraftField<Value> = WritableKeyPath<Draft, Value> & Sendable

/// Every key there is. The decoder, the writer, suggestions and the manual's check all go by this table.
enum Schema {
  static let keys: [SchemaKey] = [
    list("server", \.settings.servers, .server),
    list("server-key", \.settings.serverKeys, .relayKey),
    optional("server-ip", \.referenceHost, .host),
    optional("port", \.referencePort, .port),
    optional("device-id", \.settings.deviceID, .deviceID),
    one("log-level", \.settings.logLevel, .logLevel),

    one("join.interface", \.settings.join.interface, .interface),
    one("join.mtu", \.settings.join.mtu, .mtu),
    optional("join.address", \.settings.join.address, .virtualAddress),
    one("join.timeout", \.settings.join.timeout, .joinTimeout),
    one("join.offload", \.settings.join.offload, .offload),
    one("join.socket", \.settings.join.socket, .socketPath),
    one("join.state", \.settings.join.state, .directory),
    one("join.cipher", \.settings.join.cipher, .cipher),
    mapping("join.peer-keys", \.settings.join.peerKeys, from: .deviceID, to: .deviceKey),

    list("relay.listen", \.settings.relay.listen, .listen),
    one("relay.pool", \.settings.relay.pool, .pool),
    one("relay.device", \.settings.relay.device, .boolean),
    one("relay.interface", \.settings.relay.interface, .interface),
    one("relay.mtu", \.settings.relay.mtu, .mtu),
    one("relay.offload", \.settings.relay.offload, .offload),
    one("relay.keepalive", \.settings.relay.keepalive, .keepalive),
    one("relay.queue", \.settings.relay.queue, .queue),
    one("relay.memory", \.settings.relay.memory, .memory),
    one("relay.peer-list", \.settings.relay.peerList, .peerList),
    one("relay.threads", \.settings.relay.threads, .threads),
    one("relay.socket", \.settings.relay.socket, .socketPath),
    one("relay.state", \.settings.relay.state, .directory),
    one("relay.admission", \.settings.relay.admission, .admission),
    one("relay.user", \.settings.relay.user, .user),
    list("relay.public-address", \.settings.relay.publicAddresses, .server),
  ]

  /// The mappings at the top of the file, in the table's order.
  static let sections: [String] = keys.reduce(into: []) { sections, key in
    if let section = key.section, !sections.contains(section) { sections.append(section) }
  }

  /// The names that may stand in a section, or at the top of the file.
  static func names(in section: String?) -> [String] {
    keys.filter { $0.section == section }.map(\.name) + (section == nil ? sections : [])
  }

  private static func one<Value>(
    _ path: String, _ field: any DraftField<Value>, _ kind: ValueKind<Value>
  ) -> SchemaKey {
    key(
      path,
      decode: { node, decoder in
        if let value = decoder.value(node, kind) { decoder.draft[keyPath: field] = value }
      },
      written: { .values([kind.text($0[keyPath: field])]) })
  }

  /// A setting without a default.
  private static func optional<Value>(
    _ path: String, _ field: any DraftField<Value?>, _ kind: ValueKind<Value>
  ) -> SchemaKey {
    key(
      path,
      decode: { node, decoder in
        if let value = decoder.value(node, kind) { decoder.draft[keyPath: field] = value }
      },
      written: { draft in .values(draft[keyPath: field].map { [kind.text($0)] } ?? []) })
  }

  /// One value or a list of several.
  private static func list<Value: Hashable>(
    _ path: String, _ field: any DraftField<[Value]>, _ kind: ValueKind<Value>
  ) -> SchemaKey {
    key(
      path,
      decode: { node, decoder in
        if let values = decoder.values(node, kind) { decoder.draft[keyPath: field] = values }
      },
      written: { .values($0[keyPath: field].map { kind.text($0) }) })
  }

  /// Names that are not ours to know, with a value each; no two have the same.
  private static func mapping<Value: Hashable>(
    _ path: String, _ field: any DraftField<[String: Value]>, from names: ValueKind<String>, to kind: ValueKind<Value>
  ) -> SchemaKey {
    key(
      path,
      decode: { node, decoder in
        if let values = decoder.mapping(node, names, kind) { decoder.draft[keyPath: field] = values }
      },
      written: { draft in
        .mapping(draft[keyPath: field].sorted { $0.key < $1.key }.map { ($0.key, kind.text($0.value)) })
      })
  }

  private static func key(
    _ path: String, decode: @escaping @Sendable (YAMLNode, inout SettingsDecoder) -> Void,
    written: @escaping @Sendable (Draft) -> SchemaKey.Written
  ) -> SchemaKey {
    let parts = path.split(separator: ".").map { String($0) }
    return SchemaKey(
      section: parts.count == 2 ? parts[0] : nil, name: parts[parts.count - 1], decode: decode, written: written)
  }
}

extension Settings {
  /// Every key the file may hold, as `server` or `join.interface`, in the order in which they are shown.
  public static var keys: [String] { Schema.keys.map(\.path) }
}
