import ArgumentParser
import CommandLine
import Control

struct RotateKey: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate-key",
    abstract: "Replaces a daemon's key by a new one.",
    discussion: """
      A device keeps its ID, address and open connections. A relay tells its connected devices at once, and others when they \
      connect next. For root, and for the daemon's user.
      """)

  @Flag(help: "For a stolen relay key: devices not connected now must be told the new key by hand.")
  var forgetOld = false

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    if forgetOld, confirmation.isAsking { try confirm() }
    let report: KeyReport = try control.ask(.rotateKey(forgetOld: forgetOld))
    try output.show(report) { Self.text(report) }
  }

  /// Says which devices are not connected, as those hear nothing of the new key.
  private func confirm() throws {
    let report: DevicesReport
    do {
      report = try control.ask(.devices())
    } catch let failure as Failure where failure.status == .unavailable {
      return  // A device, or no daemon, about which the command itself says more.
    }
    let absent = report.devices.filter { $0.status == .active && !$0.online && $0.admittedBy != .host }.map(\.deviceId)
    let locked =
      absent.isEmpty
      ? "All devices are connected now, so that they are told the new key."
      : "This locks out \(Table.count(absent.count, "device")) not connected now, until each is told the new key by hand: "
        + "\(ConfirmOptions.some(of: absent))."
    try confirmation.confirm("\(locked) All invites are revoked.")
  }

  private static func text(_ report: KeyReport) -> String {
    var lines = ["the new key is \(report.key)", "fingerprint    \(report.fingerprint)"]
    if let count = report.revokedInvites, count > 0 {
      let them = count == 1 ? "is revoked, as it names" : "are revoked, as they name"
      lines.append("\(Table.count(count, "invite")) \(them) the old key; mnedc-ctl invite makes new ones")
    }
    return lines.joined(separator: "\n")
  }
}
