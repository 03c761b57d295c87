internal import Wire

/// A row of the table: one key, with the type of its value.
public struct SettingsKey<Value: Equatable & Sendable>: SettingsRow {
  /// As in the file, with its sections: `relay.idle-keepalive`.
  public let path: String
  /// The default.
  let initial: Value
  let reach: Reach
  let read: @Sendable (YAMLNode, inout SettingsDecoder) -> Value?
  let write: @Sendable (Value) -> Written

  func value(in settings: Settings) -> Value { settings.values[path] as? Value ?? initial }

  func decode(_ node: YAMLNode, _ decoder: inout SettingsDecoder) {
    if let value = read(node, &decoder) { decoder.settings.values[path] = value }
  }

  func written(in settings: Settings) -> Written { write(value(in: settings)) }

  func isEqual(_ left: Settings, _ right: Settings) -> Bool { value(in: left) == value(in: right) }
}

/// A row without the type of its value.
protocol SettingsRow: Sendable {
  var path: String { get }
  var reach: Reach { get }
  /// Takes a value from the file, or reports what is wrong with it.
  func decode(_ node: YAMLNode, _ decoder: inout SettingsDecoder)
  /// The value in force as text.
  func written(in settings: Settings) -> Written
  func isEqual(_ left: Settings, _ right: Settings) -> Bool
}

/// The keys of one section, as the members of a type.
public protocol SettingsTable: Sendable {
  static var table: Self { get }
}

extension SettingsTable {
  /// In the order of the members.
  static var rows: [any SettingsRow] {
    Mirror(reflecting: table).children.compactMap { $0.value as? any SettingsRow }
  }
}

/// A value as a file shows it.
enum Written {
  /// One value or a list; empty if there is none.
  case values([String])
  /// Names with a value each; empty if there is none.
  case mapping([(name: String, value: String)])
  /// A list of names, some of which have members; empty if there is none.
  case entries([(name: String, members: [(name: String, value: String)])])
}

/// Which daemons a key concerns, and whether they take another value over while they run.
struct Reach: Sendable {
  enum Uptake {
    /// At a reload.
    case live
    /// At the next start.
    case restart
  }

  let roles: Set<Settings.Role>
  let uptake: Uptake

  static func relay(_ uptake: Uptake) -> Reach { Reach(roles: [.relay], uptake: uptake) }
  static func device(_ uptake: Uptake) -> Reach { Reach(roles: [.device], uptake: uptake) }
  /// Also concerns a relay's host as a device.
  static func both(_ uptake: Uptake) -> Reach { Reach(roles: [.relay, .device], uptake: uptake) }
}

// MARK: Shapes of rows

func one<Value: Equatable>(
  _ path: String, _ kind: ValueKind<Value>, _ initial: Value, _ reach: Reach
) -> SettingsKey<Value> {
  SettingsKey(
    path: path, initial: initial, reach: reach, read: { $1.value($0, kind) }, write: { .values([kind.text($0)]) })
}

/// A key without a default.
func optional<Value: Equatable>(_ path: String, _ kind: ValueKind<Value>, _ reach: Reach) -> SettingsKey<Value?> {
  SettingsKey(
    path: path, initial: nil, reach: reach, read: { $1.value($0, kind) },
    write: { .values($0.map { [kind.text($0)] } ?? []) })
}

/// One value or a list of several. `none` is the word for no values, if an empty list is not allowed.
func list<Value: Hashable>(
  _ path: String, _ kind: ValueKind<Value>, none: String? = nil, _ reach: Reach
) -> SettingsKey<[Value]> {
  SettingsKey(
    path: path, initial: [], reach: reach,
    read: { node, decoder in
      if let none, node.text == none { return [] }
      return decoder.values(node, kind, mayBeEmpty: none == nil)
    },
    write: { values in .values(values.isEmpty ? none.map { [$0] } ?? [] : values.map { kind.text($0) }) })
}

/// A program's path, or a list of it and its arguments.
func command(_ path: String, _ reach: Reach) -> SettingsKey<[String]> {
  SettingsKey(path: path, initial: [], reach: reach, read: { $1.command($0) }, write: { .values($0) })
}

/// At most `limit` names with a value each. With `isUnique`, no two names have the same value.
func mapping<Value: Hashable>(
  _ path: String, from names: ValueKind<String> = .deviceID, to kind: ValueKind<Value>, limit: Int = 1000,
  isUnique: Bool = true, _ reach: Reach
) -> SettingsKey<[String: Value]> {
  SettingsKey(
    path: path, initial: [:], reach: reach,
    read: { $1.mapping($0, names, kind, limit: limit, isUnique: isUnique) },
    write: { values in .mapping(values.sorted { $0.key < $1.key }.map { ($0.key, kind.text($0.value)) }) })
}

/// The services of a device: names, some of which have members.
func serviceList(_ path: String, _ reach: Reach) -> SettingsKey<[Orchestration.Service]> {
  SettingsKey(
    path: path, initial: [], reach: reach, read: { $1.services($0) },
    write: { .entries($0.map { ($0.name, ServiceMember.written($0)) }) })
}
