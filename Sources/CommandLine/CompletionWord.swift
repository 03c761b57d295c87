internal import SystemIO

/// The word that a shell wants to complete, up to the cursor.
struct CompletionWord {
  /// Without the quote that it may begin with.
  let text: String

  /// Nobody reads a longer list, and a shell takes long to show it.
  static let maximumCount = 500
  /// For one daemon to answer: whoever has pressed the key waits for it.
  static let patience = Duration.seconds(1)

  init(_ prefix: String) {
    text = Self.unquoted(prefix)
  }

  /// Those of `names` that the word is the beginning of, each once and in order. Shells make something of what a name may hold
  /// (bash expands it): only what is harmless to all of them is offered.
  func fitting(_ names: [String]) -> [String] {
    let fitting = Set(names.filter { $0.utf8.starts(with: text.utf8) && $0.utf8.allSatisfy(Self.isHarmless) })
    return Array(fitting.sorted().prefix(Self.maximumCount))
  }

  /// The options of a line that say which daemon is meant, as they were typed: each shell hands its words on with their
  /// quotes, and bash cuts them at "=" too.
  static func daemonOptions(of line: [String]) -> [String] {
    options(configurationNames(of: line).union(["--socket", "--of"]), of: line)
  }

  /// The options that name the configuration; of mnedc-peers, `-c` is another one.
  static func configurationNames(of line: [String]) -> Set<String> {
    let isPeers = line.first.map { $0 == "mnedc-peers" || $0.hasSuffix("/mnedc-peers") } ?? false
    return isPeers ? ["--config"] : ["--config", "-c"]
  }

  /// Those of these names that the line has, with their values.
  static func options(_ names: Set<String>, of line: [String]) -> [String] {
    var options: [String] = []
    var words = line.dropFirst()[...]
    while let word = words.popFirst() {
      if word == "--" { break }
      let (name, value) = split(word)
      guard names.contains(name) else { continue }
      if words.first == "=" { words.removeFirst() }
      if let value = value ?? words.popFirst() { options += [name, expanded(unquoted(value))] }
    }
    return options
  }

  private static func split(_ word: String) -> (name: String, value: String?) {
    guard word.hasPrefix("--"), let equals = word.firstIndex(of: "=") else { return (word, nil) }
    return (String(word[..<equals]), String(word[word.index(after: equals)...]))
  }

  private static func unquoted(_ word: String) -> String {
    guard let quote = word.first, quote == "\"" || quote == "'" else { return word }
    let inside = word.dropFirst()
    return String(inside.last == quote ? inside.dropLast() : inside)
  }

  private static func expanded(_ path: String) -> String {
    guard path.hasPrefix("~/"), let home = environmentVariable("HOME") else { return path }
    return home + path.dropFirst()
  }

  private static func isHarmless(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: "-._:/=,+@%".utf8.contains(byte)
    }
  }
}
