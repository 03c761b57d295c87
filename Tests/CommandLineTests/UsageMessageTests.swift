import ArgumentParser
import Config
import Testing

@testable import CommandLine

private struct Tool: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "tool", subcommands: [Status.self, Lease.self])

  struct Status: ParsableCommand {
    @Option(transform: { _ in throw ValidationError("a limit is a whole number") }) var limit: Int?
    @Option(transform: { try ValueKind<Duration>.answerTimeout.option($0) }) var wait: Duration?
    @Flag var json = false
  }

  struct Lease: ParsableCommand {
    static let configuration = CommandConfiguration(subcommands: [Free.self])
  }

  struct Free: ParsableCommand {
    @Argument var address: String
  }
}

@Suite struct UsageMessageTests {
  private func message(_ line: String) -> String? {
    let arguments = line.split(separator: " ").map(String.init)
    do {
      _ = try Tool.parseAsRoot(arguments)
      return nil
    } catch {
      return UsageMessage(Tool.message(for: error), Tool.self, arguments).description
    }
  }

  @Test(
    arguments: [
      ("help lese", "there is no command 'lese'; did you mean lease?"),
      ("help lease fre", "there is no command 'fre'; did you mean free?"),
      ("help dance", "there is no command 'dance'; see tool --help"),
      ("help", nil), ("help lease free", nil), ("help help", nil), ("help status x", nil), ("status help lese", nil),
    ] as [(String, String?)])
  func `help for what is no command is no help`(line: String, expected: String?) {
    #expect(UsageMessage(help: line.split(separator: " ").map(String.init), of: Tool.self)?.description == expected)
  }

  @Test(
    arguments: [
      ("staus", "there is no command 'staus'; did you mean status?"),
      ("dance", "there is no command 'dance'; see tool --help"),
      ("lease fre 10.0.0.2", "there is no command 'fre'; did you mean free?"),
      ("staus --json", "there is no command 'staus'; did you mean status?"),
      ("dance --json --limit 3", "there is no command 'dance'; see tool --help"),
      ("lease fre 10.0.0.2 --json", "there is no command 'fre'; did you mean free?"),
      ("--json status", "options come after the command; did you mean tool status --json?"),
      ("--wait 2s --json status", "options come after the command; did you mean tool status --wait 2s --json?"),
      ("--json staus", "there is no command 'staus'; did you mean status?"),
      ("--wait 2s --json staus", "there is no command 'staus'; did you mean status?"),
      ("--json ping d2", "there is no command 'ping'; did you mean mnedc-peers ping?"),
      ("--wait 2s dance", "there is no command 'dance'; see tool --help"),
      ("--wait 2s lease free a", "unknown option '--wait'; see tool --help"),
      ("--jsn status", "unknown option '--jsn'; see tool status --help"),
      ("--wait 2s", "unknown option '--wait'; see tool --help"),
      ("ping d1", "there is no command 'ping'; did you mean mnedc-peers ping?"),
      ("revoke d1 --yes", "there is no command 'revoke'; did you mean mnedc-ctl revoke?"),
      ("lease stop", "there is no command 'stop'; see tool lease --help"),
      ("status extra", "unexpected argument 'extra'; see tool status --help"),
      ("status --jsn", "unknown option '--jsn'; did you mean '--json'?"),
      ("status --limit", "missing value for '--limit <limit>'; see tool status --help"),
      (
        "status --limit x",
        "the value 'x' is invalid for '--limit <limit>': a limit is a whole number; see tool status --help"
      ),
      (
        "status --wait soon",
        "the value 'soon' is invalid for '--wait <wait>': \"soon\" is not a duration; expected 100ms to 1h, in ms, "
          + "s, m or h; see tool status --help"
      ),
      ("lease free", "missing expected argument '<address>'; see tool lease free --help"),
      ("lease free a\u{7}b c", "unexpected argument 'c'; see tool lease free --help"),
    ])
  func `a wrong command line is told in the words of the other messages`(line: String, expected: String) {
    #expect(message(line) == expected)
  }
}
