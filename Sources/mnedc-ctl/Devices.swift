import ArgumentParser
import CommandLine
import Control
import SystemIO

struct Devices: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the devices that the relay has admitted.",
    discussion: "Includes those whose keys were revoked. For root, and for the relay's user.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: DevicesReport = try control.ask(.devices())
    try output.show(report) { Self.table(report).shown }
  }

  private static func table(_ report: DevicesReport) -> Table {
    let now = Int(UnixTime.now())
    func ago(_ time: Int) -> String { Table.time(Double(max(0, now - time))) + " ago" }
    var table = Table(["ID", "STATUS", "ADDRESS", "ADMITTED", "BY", "LAST SEEN", "FINGERPRINT"])
    for device in report.devices {
      table.add([
        device.deviceId, device.status.rawValue, device.address ?? "", ago(device.admittedAt),
        device.inviteId.map { "invite \($0)" } ?? device.admittedBy.word,
        device.online ? "online" : ago(device.lastSeenAt), device.fingerprint,
      ])
    }
    return table
  }
}

extension DevicesReport.Admitter {
  fileprivate var word: String {
    switch self {
    case .open: "open admission"
    case .approved: "an operator"
    case .host: "this host"
    case .invite: "an invite"
    }
  }
}
