/// One key of the file: what it is called, how its value gets into the settings, and how it is written out again.
struct SchemaKey: Sendable {
  /// The mapping that holds it; `nil` at the top of the file.
  let section: String?
  let name: String
  let decode: @Sendable (YAMLNode, inout SettingsDecoder) -> Void
  /// The texts of the value in force; empty if there is none.
  let texts: @Sendable (Draft) -> [String]

  var path: String { section.map { "\($0).\(name)" } ?? name }
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

    list("relay.listen", \.settings.relay.listen, .listen),
    one("relay.pool", \.settings.relay.pool, .pool),
    one("relay.device", \.settings.relay.device, .boolean),
    one("relay.interface", \.settings.relay.interface, .interface),
    one("relay.mtu", \.settings.relay.mtu, .mtu),
    one("relay.offload", \.settings.relay.offload, .offload),
    one("relay.keepalive", \.settings.relay.keepalive, .keepalive),
    one("relay.queue", \.settings.relay.queue, .queue),
    one("relay.threads", \.settings.relay.threads, .threads),
    one("relay.socket", \.settings.relay.socket, .socketPath),
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
      texts: { [kind.text($0[keyPath: field])] })
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
      texts: { draft in draft[keyPath: field].map { [kind.text($0)] } ?? [] })
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
      texts: { $0[keyPath: field].map { kind.text($0) } })
  }

  private static func key(
    _ path: String, decode: @escaping @Sendable (YAMLNode, inout SettingsDecoder) -> Void,
    texts: @escaping @Sendable (Draft) -> [String]
  ) -> SchemaKey {
    let parts = path.split(separator: ".").map { String($0) }
    return SchemaKey(
      section: parts.count == 2 ? parts[0] : nil, name: parts[parts.count - 1], decode: decode, texts: texts)
  }
}

extension Settings {
  /// Every key the file may hold, as `server` or `join.interface`, in the order in which they are shown.
  public static var keys: [String] { Schema.keys.map(\.path) }
}
