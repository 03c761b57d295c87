/// A value of a YAML document and where it stands.
struct YAMLNode: Sendable {
  enum Content: Sendable {
    /// `isPlain` if it was written without quotes and not as a block.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the order of the file; the same key may come twice.
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  let mark: Mark
  let content: Content
  /// How many nodes it is, itself and what its aliases stand for among them.
  let weight: Int

  /// No value: nothing behind the colon, or YAML's words for it.
  var isNull: Bool {
    guard case .scalar(let text, isPlain: true) = content else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  /// What it is, for an error message.
  var kind: String {
    switch content {
    case .scalar: isNull ? "no value" : "text"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}
