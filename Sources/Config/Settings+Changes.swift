extension Settings {
  /// The kind of daemon.
  public enum Role: Sendable {
    case relay
    case device
  }

  /// A key with its old and its new value.
  public struct Change: Equatable, Sendable {
    /// The path, such as `relay.queue`.
    public let key: String
    /// For people; long values are cut.
    public let old: String
    public let new: String
  }

  /// The keys that concern a daemon of this role and have another value in `other`, in the table's order.
  public func changes(to other: Settings, for role: Role) -> [Change] {
    Self.rows.compactMap { key in
      let (before, after) = (key.written(in: self), key.written(in: other))
      guard key.reach.roles.contains(role), before.text != after.text else { return nil }
      return Change(key: key.path, old: before.brief, new: after.brief)
    }
  }

  /// These settings with the values of `other` for the keys that a daemon of this role takes over while it runs.
  public func takingOver(_ other: Settings, for role: Role) -> Settings {
    var result = self
    for key in Self.rows where key.reach.uptake == .live && key.reach.roles.contains(role) {
      result.values[key.path] = other.values[key.path]
    }
    return result
  }
}

extension Written {
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
