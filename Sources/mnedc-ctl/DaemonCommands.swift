import ArgumentParser
import CommandLine
import Config
import Control

extension CommandGroup {
  static let daemon = CommandGroup(
    name: "Daemon",
    subcommands: [
      Reload.self, LogLevel.self, Announce.self, Key.self, RotateKey.self, Backup.self, Drain.self, Stop.self,
    ])
}

struct Reload: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "reload",
    "Applies what can change while the daemon runs; sessions stay. A file with a mistake changes nothing.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .reload }

  func text(_ report: ReloadReport) -> String {
    if report.applied.isEmpty, report.needsRestart.isEmpty { return "nothing has changed" }
    var parts: [String] = []
    for (title, changes) in [("applied", report.applied), ("needs a restart", report.needsRestart)]
    where !changes.isEmpty {
      parts.append("\(title):\n" + changes.map { "  \($0.key): \($0.old) -> \($0.new)" }.joined(separator: "\n"))
    }
    return parts.joined(separator: "\n")
  }
}

struct LogLevel: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "log-level",
    """
    The level holds until it is set again, a reload finds another log-level in the configuration, or the daemon is \
    restarted.
    """)

  @Argument(
    help: "Log this level and worse: trace, debug, info, notice, warning, error, critical (default: show the level).",
    completion: .list(Settings.LogLevel.allCases.map(\.rawValue)),
    transform: { try ValueKind<Settings.LogLevel>.logLevel.option($0) })
  var level: Settings.LogLevel?

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .logLevel(level?.rawValue) }

  func text(_ report: LogLevelReport) -> String {
    let isOther = report.level != report.configuredLevel
    return report.level + (isOther ? " until the next start, then \(report.configuredLevel)" : "")
  }
}

struct Key: RequestCommand {
  static let configuration = CommandConfiguration(for: "key")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .key }

  func text(_ report: KeyReport) -> String {
    let role = report.deviceId.map { "\(report.role.rawValue) \($0)" } ?? report.role.rawValue
    return "\(role)\nkey          \(report.key)\nfingerprint  \(report.fingerprint)"
  }
}

struct RotateKey: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "rotate-key",
    """
    A device keeps its ID, address and open connections. A relay tells its connected devices at once, and others when \
    they connect next.
    """)

  @Flag(help: "For a stolen relay key: devices not connected now must be told the new key by hand.")
  var forgetOld = false

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand {
    get throws {
      if forgetOld, confirmation.isAsking { try confirm() }
      return .rotateKey(forgetOld: forgetOld)
    }
  }

  /// Names the devices that are not connected, because the relay cannot tell them its new key.
  private func confirm() throws {
    let report: DevicesReport
    do {
      report = try control.ask(.devices())
    } catch let failure as Failure where failure.status == .unavailable {
      return  // A device, or no daemon: the request itself fails with a better message.
    }
    let absent = report.devices.filter { $0.status == .active && !$0.online && $0.admittedBy != .host }.map(\.deviceId)
    let locked =
      absent.isEmpty
      ? "All devices are connected now, so that they are told the new key."
      : "This locks out \(Table.count(absent.count, "device")) not connected now, until each is told the new key by "
        + "hand: \(ConfirmOptions.some(of: absent))."
    try confirmation.confirm("\(locked) All invites are revoked.")
  }

  func text(_ report: KeyReport) -> String {
    var lines = ["the new key is \(report.key)", "fingerprint    \(report.fingerprint)"]
    if let count = report.revokedInvites, count > 0 {
      let them = count == 1 ? "is revoked, as it names" : "are revoked, as they name"
      lines.append("\(Table.count(count, "invite")) \(them) the old key; mnedc-ctl invite makes new ones")
    }
    return lines.joined(separator: "\n")
  }
}

struct Stop: ParsableCommand {
  static let configuration = CommandConfiguration(for: "stop")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let path = try control.askAndLocate(.stop, Done.self).path
    try output.show(StopReport(socket: path)) { "the daemon at \(path) stops" }
  }
}
