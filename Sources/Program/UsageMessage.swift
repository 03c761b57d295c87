internal import ArgumentParser
internal import Config
internal import Wire

/// What is wrong with a command line, in the words of the other messages.
struct UsageMessage: CustomStringConvertible {
  let description: String

  /// `message` is the parser's, of these arguments of `program`.
  init(_ message: String, _ program: any ParsableCommand.Type, _ arguments: some Collection<String>) {
    let way = CommandWay(program, arguments)
    if let stranger = way.stranger, Self.isUnexpected(stranger, message) {
      self.init(noCommand: stranger, way)
    } else {
      let what = Self.plain(message)
      self.init(what.hasSuffix("?") ? what : "\(what); \(way.help)")
    }
  }

  /// What is wrong with `help` and the words behind it, of which the parser takes any; `nil` if nothing is.
  init?(help arguments: some Collection<String>, of program: any ParsableCommand.Type) {
    let words = arguments.filter { !$0.hasPrefix("-") }
    guard words.first == "help", !program.configuration.subcommands.isEmpty else { return nil }
    let way = CommandWay(program, words.dropFirst())
    guard let stranger = way.stranger, stranger != "help" else { return nil }
    self.init(noCommand: stranger, way)
  }

  private init(noCommand stranger: String, _ way: CommandWay) {
    let names = way.command.configuration.subcommands.map { $0._commandName } + ["help"]
    let near = suggestion(for: stranger, among: names).map { "did you mean \($0)?" }
    self.init("there is no command '\(stranger)'; \(near ?? way.help)")
  }

  /// An argument, which a text may repeat, may be anything.
  private init(_ text: String) {
    description = text.replacing(unless: \.isHarmless, with: "?")
  }

  /// Whether it is the first that the parser did not expect.
  private static func isUnexpected(_ argument: String, _ message: String) -> Bool {
    message == "Unexpected argument '\(argument)'" || message.contains(" unexpected arguments: '\(argument)'")
  }

  /// As one line that begins in lower case and does not end in a full stop.
  private static func plain(_ message: String) -> String {
    var text = message.split(separator: "\n").joined(separator: " ")
    if let (value, option, why) = invalidValue(text) {
      text = why.contains(value) ? "\(option): \(why)" : "\(option): '\(value)' is not right; \(why)"
    }
    text = text.replacing("'. Did you mean ", with: "'; did you mean ")
    while text.hasSuffix(".") { text.removeLast() }
    return text.prefix(1).lowercased() + text.dropFirst()
  }

  /// The parts of `The value 'x' is invalid for '--option <value>': why`.
  private static func invalidValue(_ text: String) -> (value: String, option: String, why: String)? {
    guard let match = text.wholeMatch(of: /The value '(.*?)' is invalid for '(.*?)': (.+)/) else { return nil }
    return (String(match.1), String(match.2), singlyQuoted(String(match.3)))
  }

  /// With the value that a text may begin with in the quotes of a command line's messages, not of the configuration's.
  private static func singlyQuoted(_ text: String) -> String {
    guard let match = text.prefixMatch(of: /"([^"\\]*)"/) else { return text }
    return "'\(match.1)'\(text[match.range.upperBound...])"
  }
}

/// How far the words of a command line name a command.
private struct CommandWay {
  private(set) var command: any ParsableCommand.Type
  private var path: [String]
  /// The word that should name one, and does not.
  private(set) var stranger: String?

  init(_ program: any ParsableCommand.Type, _ arguments: some Collection<String>) {
    (command, path) = (program, [program._commandName])
    for argument in arguments where !argument.hasPrefix("-") {
      let subcommands = command.configuration.subcommands
      guard let next = subcommands.first(where: { $0._commandName == argument }) else {
        if !subcommands.isEmpty { stranger = argument }
        break
      }
      command = next
      path.append(argument)
    }
  }

  /// Where it is said what is right.
  var help: String { "see \(path.joined(separator: " ")) --help" }
}
