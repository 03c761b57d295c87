internal import Wire

/// One key of the file: what it is called, how its value gets into the settings, and how it is written out again.
struct SchemaKey: Sendable {
  /// The path of the mapping that holds it; `nil` at the top of the file.
  let section: String?
  let name: String
  let decode: @Sendable (YAMLNode, inout SettingsDecoder) -> Void
  /// The value in force as text.
  let written: @Sendable (Draft) -> Written
  /// Puts the first draft's value into the second one.
  let copy: @Sendable (Draft, inout Draft) -> Void
  let reach: Reach

  var path: String { section.map { "\($0).\(name)" } ?? name }

  enum Written: Sendable {
    /// One value or a list; empty if there is none.
    case values([String])
    /// Names with a value each; empty if there is none.
    case mapping([(name: String, value: String)])
    /// A list of names, some of which have members; empty if there is none.
    case entries([(name: String, members: [(name: String, value: String)])])
  }
}

/// Which daemons a key concerns, and whether they can take another value over while they run.
struct Reach: Sendable {
  enum Uptake {
    /// At a reload.
    case live
    /// When the daemon is started anew.
    case restart
  }

  let roles: Set<Settings.Role>
  let uptake: Uptake

  static func relay(_ uptake: Uptake) -> Reach { Reach(roles: [.relay], uptake: uptake) }
  static func device(_ uptake: Uptake) -> Reach { Reach(roles: [.device], uptake: uptake) }
  /// For what concerns the device that a relay's host is, too.
  static func both(_ uptake: Uptake) -> Reach { Reach(roles: [.relay, .device], uptake: uptake) }
}

/// The settings while they are read, with what only the file knows.
struct Draft: Sendable {
  var settings = Settings()
  /// `server-ip` and `port` of the reference implementation's file.
  var referenceHost: String?
  var referencePort: UInt16?
}

typealias DraftField<Value> = WritableKeyPath<Draft, Value> & Sendable

/// A mapping of the file that holds keys.
struct SchemaSection: Equatable {
  /// The path of the mapping that holds it; `nil` at the top of the file.
  let parent: String?
  let name: String

  var path: String { parent.map { "\($0).\(name)" } ?? name }
}

/// Every key there is. The decoder, the writer, suggestions, reloads and the manual's check all go by this table.
enum Schema {
  static let keys: [SchemaKey] = [
    list("server", \.settings.servers, .server, .device(.live)),
    list("server-key", \.settings.serverKeys, .relayKey, .device(.restart)),
    optional("server-ip", \.referenceHost, .host, .device(.live)),
    optional("port", \.referencePort, .port, .device(.live)),
    optional("device-id", \.settings.deviceID, .deviceID, .both(.restart)),
    one("log-level", \.settings.logLevel, .logLevel, .both(.live)),

    list("metrics.listen", \.settings.metrics.listen, .metricsListen, .both(.live)),
    one("metrics.peer-limit", \.settings.metrics.peerLimit, .metricsPeerLimit, .both(.live)),

    one("join.interface", \.settings.join.interface, .interface, .device(.restart)),
    one("join.mtu", \.settings.join.mtu, .mtu, .device(.restart)),
    optional("join.address", \.settings.join.address, .virtualAddress, .device(.restart)),
    one("join.allow-overlap", \.settings.join.allowOverlap, .boolean, .both(.restart)),
    one("join.allow-public-pool", \.settings.join.allowPublicPool, .boolean, .both(.restart)),
    one("join.timeout", \.settings.join.timeout, .joinTimeout, .device(.restart)),
    one("join.offload", \.settings.join.offload, .offload, .device(.restart)),
    one("join.socket", \.settings.join.socket, .socketPath, .device(.restart)),
    one("join.state", \.settings.join.state, .directory, .device(.restart)),
    one("join.cipher", \.settings.join.cipher, .cipher, .both(.restart)),
    one("join.congestion-control", \.settings.join.congestionControl, .congestionControl, .device(.restart)),
    mapping(
      "join.peer-keys", \.settings.join.peerKeys, from: .deviceID, to: .deviceKey, limit: 1000, isUnique: true,
      .both(.live)),
    one("join.names", \.settings.join.names, .names, .both(.restart)),
    one("join.hosts-file", \.settings.join.hostsFile, .hostsFile, .both(.restart)),
    command("join.on-peer", \.settings.join.onPeer, .both(.live)),
    one("join.peer-information", \.settings.join.peerInformation, .peerInformation, .both(.live)),
    one("join.direct", \.settings.join.direct, .direct, .device(.restart)),
    one("join.direct-port", \.settings.join.directPort, .directPort, .device(.restart)),
    one("join.direct-max-offline", \.settings.join.directMaxOffline, .directMaxOffline, .device(.restart)),
    optional("join.orchestration.host-name", \.settings.join.orchestration.hostName, .hostName, .both(.live)),
    optional("join.orchestration.platform", \.settings.join.orchestration.platform, .platform, .both(.live)),
    optional(
      "join.orchestration.execution-type", \.settings.join.orchestration.executionType, .executionType, .both(.live)),
    services("join.orchestration.services", \.settings.join.orchestration.services, .both(.live)),
    mapping(
      "join.orchestration.labels", \.settings.join.orchestration.labels, from: .labelName, to: .labelValue,
      limit: Orchestration.maximumLabels, isUnique: false, .both(.live)),

    list("relay.listen", \.settings.relay.listen, .listen, none: "auto", .relay(.restart)),
    one("relay.pool", \.settings.relay.pool, .pool, .relay(.live)),
    one("relay.pool6", \.settings.relay.pool6, .pool6, .relay(.restart)),
    one("relay.lease-age", \.settings.relay.leaseAge, .leaseAge, .relay(.restart)),
    mapping(
      "relay.addresses", \.settings.relay.addresses, from: .deviceID, to: .virtualAddress, limit: 1000, isUnique: true,
      .relay(.restart)),
    one("relay.device", \.settings.relay.device, .boolean, .relay(.restart)),
    one("relay.interface", \.settings.relay.interface, .interface, .relay(.restart)),
    one("relay.mtu", \.settings.relay.mtu, .mtu, .relay(.restart)),
    one("relay.offload", \.settings.relay.offload, .offload, .relay(.restart)),
    one("relay.keepalive", \.settings.relay.keepalive, .keepalive, .relay(.live)),
    one("relay.idle-keepalive", \.settings.relay.idleKeepalive, .idleKeepalive, .relay(.live)),
    one("relay.congestion-control", \.settings.relay.congestionControl, .congestionControl, .relay(.restart)),
    one("relay.queue", \.settings.relay.queue, .queue, .relay(.live)),
    one("relay.memory", \.settings.relay.memory, .memory, .relay(.restart)),
    one("relay.peer-list", \.settings.relay.peerList, .peerList, .relay(.restart)),
    one("relay.threads", \.settings.relay.threads, .threads, .relay(.restart)),
    one("relay.socket", \.settings.relay.socket, .socketPath, .relay(.restart)),
    one("relay.state", \.settings.relay.state, .directory, .relay(.restart)),
    one("relay.admission", \.settings.relay.admission, .admission, .relay(.live)),
    one("relay.user", \.settings.relay.user, .user, .relay(.restart)),
    list("relay.public-address", \.settings.relay.publicAddresses, .server, .relay(.live)),
  ]

  /// The mappings that hold keys, in the table's order, an outer one before those in it.
  static let sections: [SchemaSection] = keys.reduce(into: []) { sections, key in
    var parent: String?
    for name in key.section?.split(separator: ".") ?? [] {
      let section = SchemaSection(parent: parent, name: String(name))
      if !sections.contains(section) { sections.append(section) }
      parent = section.path
    }
  }

  /// The names that may stand in a section, or at the top of the file.
  static func names(in section: String?) -> [String] {
    keys.filter { $0.section == section }.map(\.name) + sections.filter { $0.parent == section }.map(\.name)
  }

  private static func one<Value>(
    _ path: String, _ field: any DraftField<Value>, _ kind: ValueKind<Value>, _ reach: Reach
  ) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let value = decoder.value(node, kind) { decoder.draft[keyPath: field] = value }
      },
      written: { .values([kind.text($0[keyPath: field])]) })
  }

  /// A setting without a default.
  private static func optional<Value>(
    _ path: String, _ field: any DraftField<Value?>, _ kind: ValueKind<Value>, _ reach: Reach
  ) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let value = decoder.value(node, kind) { decoder.draft[keyPath: field] = value }
      },
      written: { draft in .values(draft[keyPath: field].map { [kind.text($0)] } ?? []) })
  }

  /// One value or a list of several. `none` is the word for no values, if it is not an empty list.
  private static func list<Value: Hashable>(
    _ path: String, _ field: any DraftField<[Value]>, _ kind: ValueKind<Value>, none: String? = nil, _ reach: Reach
  ) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let none, node.text == none {
          decoder.draft[keyPath: field] = []
        } else if let values = decoder.values(node, kind, mayBeEmpty: none == nil) {
          decoder.draft[keyPath: field] = values
        }
      },
      written: { draft in
        let values = draft[keyPath: field].map { kind.text($0) }
        return .values(values.isEmpty ? none.map { [$0] } ?? [] : values)
      })
  }

  /// A program's path, or a list of it and its arguments.
  private static func command(_ path: String, _ field: any DraftField<[String]>, _ reach: Reach) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let words = decoder.command(node) { decoder.draft[keyPath: field] = words }
      },
      written: { .values($0[keyPath: field]) })
  }

  /// At most `limit` names that are not ours to know, with a value each; no two have the same if it `isUnique`.
  private static func mapping<Value: Hashable>(
    _ path: String, _ field: any DraftField<[String: Value]>, from names: ValueKind<String>, to kind: ValueKind<Value>,
    limit: Int, isUnique: Bool, _ reach: Reach
  ) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let values = decoder.mapping(node, names, kind, limit: limit, isUnique: isUnique) {
          decoder.draft[keyPath: field] = values
        }
      },
      written: { draft in
        .mapping(draft[keyPath: field].sorted { $0.key < $1.key }.map { ($0.key, kind.text($0.value)) })
      })
  }

  /// What a device offers: names, some of which have members.
  private static func services(
    _ path: String, _ field: any DraftField<[Orchestration.Service]>, _ reach: Reach
  ) -> SchemaKey {
    key(
      path, field, reach,
      decode: { node, decoder in
        if let services = decoder.services(node) { decoder.draft[keyPath: field] = services }
      },
      written: { draft in .entries(draft[keyPath: field].map { ($0.name, ServiceMember.written($0)) }) })
  }

  private static func key<Value>(
    _ path: String, _ field: any DraftField<Value>, _ reach: Reach,
    decode: @escaping @Sendable (YAMLNode, inout SettingsDecoder) -> Void,
    written: @escaping @Sendable (Draft) -> SchemaKey.Written
  ) -> SchemaKey {
    let parts = path.split(separator: ".").map { String($0) }
    return SchemaKey(
      section: parts.count > 1 ? parts.dropLast().joined(separator: ".") : nil, name: parts[parts.count - 1],
      decode: decode, written: written, copy: { $1[keyPath: field] = $0[keyPath: field] }, reach: reach)
  }
}

extension Settings {
  /// Every key the file may hold, as `server` or `join.interface`, in the order in which they are shown.
  public static var keys: [String] { Schema.keys.map(\.path) }
}
