/// A value of a YAML document and where it stands.
struct YAMLNode: Sendable {
  enum Content: Sendable {
    /// `isPlain` if its text decides its type: it was written without quotes and not as a block, or its tag says so.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the order of the file; the same key may come twice.
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  let mark: Mark
  let content: Content
  /// How many nodes it is, itself and what its aliases stand for among them.
  let weight: Int

  /// Of a scalar.
  var text: String? {
    if case .scalar(let text, _) = content { text } else { nil }
  }

  /// No value: nothing behind the colon, or YAML's words for it.
  var isNull: Bool { isWordForNull || plainText == "" }

  /// YAML's words for no value, which tools write for a setting that is not set.
  var isWordForNull: Bool { plainText.map { ["~", "null", "Null", "NULL"].contains($0) } ?? false }

  /// Of a scalar whose type its text decides.
  var plainText: String? {
    if case .scalar(let text, isPlain: true) = content { text } else { nil }
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
