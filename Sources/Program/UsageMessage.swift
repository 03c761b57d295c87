internal import ArgumentParser
internal import Config
internal import Wire

/// What is wrong with a command line, in the words of the other messages.
struct UsageMessage: CustomStringConvertible {
  let description: String

  /// `message` is the parser's, of these arguments of `program`.
  init(_ message: String, _ program: any ParsableCommand.Type, _ arguments: some Collection<String>) {
    var (command, path) = (program, [program._commandName])
    var stranger: String?
    for argument in arguments where !argument.hasPrefix("-") {
      let subcommands = command.configuration.subcommands
      if let next = subcommands.first(where: { $0._commandName == argument }) {
        command = next
        path.append(argument)
      } else {
        if !subcommands.isEmpty { stranger = argument }
        break
      }
    }
    let help = "see \(path.joined(separator: " ")) --help"
    if let stranger, Self.isUnexpected(stranger, message) {
      let names = command.configuration.subcommands.map { $0._commandName } + ["help"]
      let near = suggestion(for: stranger, among: names).map { "did you mean \($0)?" }
      description = Self.harmless("there is no command '\(stranger)'; \(near ?? help)")
    } else {
      let what = Self.plain(message)
      description = Self.harmless(what.hasSuffix("?") ? what : "\(what); \(help)")
    }
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
    return (String(match.1), String(match.2), String(match.3))
  }

  /// An argument, which the message may repeat, may be anything.
  private static func harmless(_ text: String) -> String {
    text.replacing(unless: \.isHarmless, with: "?")
  }
}
