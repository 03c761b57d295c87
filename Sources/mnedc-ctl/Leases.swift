import ArgumentParser
import CommandLine
import Control
import SystemIO
import Wire

struct Leases: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the virtual addresses of devices.",
    discussion: "A device that is not connected keeps its address. For root, and for the relay's user.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: LeasesReport = try control.ask(.leases)
    try output.show(report) { Self.table(report).shown }
  }

  private static func table(_ report: LeasesReport) -> Table {
    let now = Int(UnixTime.now())
    var table = Table(["ADDRESS", "ID", "KIND", "LAST USED", "IPV6 ADDRESS"])
    for lease in report.leases {
      table.add([
        lease.address, lease.deviceId, lease.kind.rawValue,
        lease.online ? "online" : Table.time(Double(max(0, now - lease.lastUsedAt))) + " ago", lease.address6 ?? "",
      ])
    }
    return table
  }
}
