internal import ArgumentParser
internal import Config
internal import Control
internal import Wire

/// What is wrong with a command line, in the words of the other messages.
struct UsageMessage: CustomStringConvertible {
  let description: String

  /// `message` is the parser's, of these arguments of `program`.
  init(_ message: String, _ program: any ParsableCommand.Type, _ arguments: some Collection<String>) {
    let way = CommandWay(program, arguments)
    if let right = Self.withOptionsBehind(program, Array(arguments)) {
      self.init("options come after the command; did you mean \(right)?")
    } else if let stranger = way.stranger, Self.isUnexpected(stranger, message) || way.isCertain(message) {
      self.init(noCommand: stranger, way)
    } else if let stranger = Self.strangerBehindOptions(program, Array(arguments)) {
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
    let right = way.elsewhere(stranger) ?? suggestion(for: stranger, among: names)
    self.init("there is no command '\(stranger)'; \(right.map { "did you mean \($0)?" } ?? way.help)")
  }

  /// The command line with those options behind the command that stand before it; `nil` unless it is right then.
  private static func withOptionsBehind(_ program: any ParsableCommand.Type, _ arguments: [String]) -> String? {
    guard arguments.first?.hasPrefix("-") == true else { return nil }
    var (command, start) = (program, arguments.startIndex)
    func next(_ index: Int) -> (any ParsableCommand.Type)? {
      guard index < arguments.endIndex else { return nil }
      return command.configuration.subcommands.first { $0._commandName == arguments[index] }
    }
    guard let first = arguments.indices.first(where: { next($0) != nil }) else { return nil }
    start = first
    var end = start
    while let subcommand = next(end) { (command, end) = (subcommand, end + 1) }
    let words = arguments[start..<end] + arguments[..<start] + arguments[end...]
    guard (try? program.parseAsRoot(Array(words))) != nil else { return nil }
    return ([program._commandName] + words).map { ShellText.word($0) }.joined(separator: " ")
  }

  /// The word behind options that stand first, if it should name a command and does not.
  private static func strangerBehindOptions(_ program: any ParsableCommand.Type, _ arguments: [String]) -> String? {
    guard arguments.first?.hasPrefix("-") == true else { return nil }
    let names = program.configuration.subcommands.map { $0._commandName }
    for (index, word) in arguments.enumerated() where !word.hasPrefix("-") {
      if names.contains(word) { return nil }
      // It is no option's value if a command takes the options without it.
      if names.contains(where: { (try? program.parseAsRoot([$0] + arguments[..<index])) != nil }) { return word }
    }
    return nil
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
    let line = message.split(separator: "\n").joined(separator: " ")
    var text = line.replacing("'. Did you mean ", with: "'; did you mean ")
    while text.hasSuffix(".") { text.removeLast() }
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}

/// How far the words of a command line name a command.
private struct CommandWay {
  private(set) var command: any ParsableCommand.Type
  private var path: [String]
  /// The word that should name one, and does not.
  private(set) var stranger: String?
  /// Whether the word before that is an option, whose value it may be.
  private var isBehindOption = false

  init(_ program: any ParsableCommand.Type, _ arguments: some Collection<String>) {
    (command, path) = (program, [program._commandName])
    var former = ""
    for argument in arguments {
      defer { former = argument }
      if argument.hasPrefix("-") { continue }
      let subcommands = command.configuration.subcommands
      guard let next = subcommands.first(where: { $0._commandName == argument }) else {
        if !subcommands.isEmpty { (stranger, isBehindOption) = (argument, former.hasPrefix("-")) }
        break
      }
      command = next
      path.append(argument)
    }
  }

  /// Whether the stranger is to blame for the parser's message, which is about an option: those of the command that was
  /// meant are unknown.
  func isCertain(_ message: String) -> Bool { message.hasPrefix("Unknown option") && !isBehindOption }

  /// The command of the suite's other tool that is meant by `word`.
  func elsewhere(_ word: String) -> String? {
    guard path.count == 1 else { return nil }
    let others = [
      "list": "mnedc-peers list", "netcheck": "mnedc-ctl netcheck", "report": "mnedc-ctl report",
      "lease": "mnedc-ctl lease",
    ]
    guard let typed = ControlCommand.Kind(named: word)?.typed ?? others[word] else { return nil }
    let tool = typed.prefix { $0 != " " }
    return ["mnedc-ctl", "mnedc-peers"].contains(tool) && tool != path[0] ? typed : nil
  }

  /// Where it is said what is right.
  var help: String { "see \(path.joined(separator: " ")) --help" }
}
