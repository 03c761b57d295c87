import ArgumentParser
import CommandLine
import Config
import Control
import Netcheck
import Wire

struct Netcheck: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks whether this host could join.",
    discussion: """
      Needs no daemon and changes nothing at the relay. Any user may run it; run by root, it sees more.
      """)

  @Argument(
    help: ArgumentHelp(
      "The servers, or an invite (default: those of the configuration).", valueName: "server"))
  var servers: [String] = []

  @OptionGroup var configuration: ConfigOptions

  @Option(
    help: ArgumentHelp(
      "Wait this long for each server (default: \(ValueKind<Duration>.answerTimeout.text(defaultTimeout))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.answerTimeout.option($0) })
  var timeout = defaultTimeout

  @OptionGroup var output: OutputOptions

  private static let defaultTimeout = Duration.seconds(5)

  func run() throws {
    var (settings, check) = read()
    if servers.isEmpty { addReference(to: &settings, &check) }
    var (named, keys) = (settings.servers, settings.serverKeys)
    if !servers.isEmpty { (named, keys) = try arguments(keys) }
    let found = WaitingNote.during(named.map(\.description).joined(separator: ", ")) {
      JoinCheck(
        settings, servers: named, keys: keys, configuration: check, own: DaemonAddress.interfaces(settings),
        within: timeout)
    }
    try output.show(found.report) { Self.text(found.report) }
    if found.status != .success { throw Failure(found.status, "joining would not work; what fails is marked above") }
  }

  /// Reads the configuration. Mistakes in it are one more finding.
  private func read() -> (Settings, CheckReport) {
    let file = configuration.file()
    do {
      guard let content = try file.read() else {
        return (Settings(), CheckReport("configuration", .ok, "there is no \(file.path); the defaults hold"))
      }
      return (try file.parse(content), CheckReport("configuration", .ok, "\(file.path) is right"))
    } catch {
      let failure = error as? Failure
      let lines = (failure?.message ?? "\(error)").split(separator: "\n").map(String.init)
      if failure?.status == .noInput {
        let finding = "cannot read \(file.path), so that its server and its keys are not known here"
        return (Settings(), CheckReport("configuration", .warn, finding, advice: "run this as root, or name a server"))
      }
      let rest = lines.count > 1 ? " (and \(lines.count - 1) more)" : ""
      let advice = "mnedc-join --config \(file.path) --check lists all its mistakes"
      return (Settings(), CheckReport("configuration", .fail, lines[0] + rest, advice: advice))
    }
  }

  /// Adds the servers of the reference implementation's file, which mnedc-join uses if nothing else names a relay.
  private func addReference(to settings: inout Settings, _ check: inout CheckReport) {
    guard settings.servers.isEmpty, configuration.config == nil, check.result == .ok else { return }
    let path = ConfigOptions.referencePath
    do {
      settings.servers = try ConfigOptions.loadReference().servers
      if !settings.servers.isEmpty { check.finding += "; server is what \(path) says" }
    } catch {
      let why = ((error as? Failure)?.message ?? "\(error)").prefix { $0 != "\n" }
      check = CheckReport("configuration", .fail, String(why), advice: "correct or remove \(path)")
    }
  }

  /// The servers that the arguments name, and the keys to expect.
  private func arguments(_ configured: [[UInt8]]) throws -> (servers: [ServerAddress], keys: [[UInt8]]) {
    var (found, keys) = ([ServerAddress](), configured)
    for argument in servers {
      if argument.hasPrefix(InviteText.prefix) {
        do {
          let invite = try InviteText(parsing: argument)
          keys.append(invite.relayKey)
          for server in invite.servers { found.append(try ServerAddress(parsing: server)) }
        } catch {
          throw Failure(.usage, "the invite cannot be read: \(error)")
        }
      } else {
        found.append(try ValueKind<ServerAddress>.server.option(argument))
      }
    }
    return (found, keys)
  }

  private static func text(_ report: NetcheckReport) -> String {
    var parts = ["this host\n" + CheckText.lines(report.checks, indent: "  ")]
    parts += report.servers.map { "\($0.server)\n" + CheckText.lines($0.checks, indent: "  ") }
    parts.append("not measured\n" + report.notMeasured.map { "  \($0)" }.joined(separator: "\n"))
    // Otherwise the error says so.
    if report.works { parts.append("joining should work") }
    return parts.joined(separator: "\n\n")
  }
}
