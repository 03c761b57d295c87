/// A value of a YAML document, with its place.
struct YAMLNode: Sendable {
  enum Content: Sendable {
    /// `isPlain`: the text decides the type, because it has neither quotes nor block style, or because of its tag.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the order of the file. A key may occur twice.
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  let mark: Mark
  let content: Content
  /// The number of nodes in it, itself included, with every alias expanded.
  let weight: Int

  /// Of a scalar.
  var text: String? {
    if case .scalar(let text, _) = content { text } else { nil }
  }

  /// Nothing after the colon, or a word for null.
  var isNull: Bool { isWordForNull || plainText == "" }

  /// A word for null, which tools write for a setting that is not set.
  var isWordForNull: Bool { plainText.map { ["~", "null", "Null", "NULL"].contains($0) } ?? false }

  /// Of a scalar whose type its text decides.
  var plainText: String? {
    if case .scalar(let text, isPlain: true) = content { text } else { nil }
  }

  /// For error messages.
  var kind: String {
    switch content {
    case .scalar: isNull ? "no value" : "text"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}
