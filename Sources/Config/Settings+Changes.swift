extension Settings {
  /// What a daemon is.
  public enum Role: Sendable {
    case relay
    case device
  }

  /// A key whose value is another one.
  public struct Change: Equatable, Sendable {
    /// As `relay.queue`.
    public let key: String
    /// For people; long values are cut.
    public let old: String
    public let new: String
  }

  /// The keys that concern a daemon of this role and have another value in `other`, in the schema's order.
  public func changes(to other: Settings, for role: Role) -> [Change] {
    let (old, new) = (Draft(settings: self), Draft(settings: other))
    return Schema.keys.compactMap { key in
      let (before, after) = (key.written(old), key.written(new))
      guard key.reach.roles.contains(role), before.text != after.text else { return nil }
      return Change(key: key.path, old: before.brief, new: after.brief)
    }
  }

  /// These settings, but with the values of `other` for the keys that a daemon of this role takes over while it runs.
  public func takingOver(_ other: Settings, for role: Role) -> Settings {
    var result = Draft(settings: self)
    for key in Schema.keys where key.reach.uptake == .live && key.reach.roles.contains(role) {
      key.copy(Draft(settings: other), &result)
    }
    return result.settings
  }
}

extension SchemaKey.Written {
  private static let longest = 200

  fileprivate var text: String {
    switch self {
    case .values(let values): values.joined(separator: ", ")
    case .mapping(let pairs): Self.text(pairs)
    case .entries(let entries):
      entries.map { $0.members.isEmpty ? $0.name : "\($0.name) (\(Self.text($0.members)))" }.joined(separator: ", ")
    }
  }

  private static func text(_ pairs: [(name: String, value: String)]) -> String {
    pairs.map { "\($0.name): \($0.value)" }.joined(separator: ", ")
  }

  fileprivate var brief: String {
    let text = text
    if text.isEmpty { return "none" }
    return text.count <= Self.longest ? text : text.prefix(Self.longest) + "..."
  }
}
