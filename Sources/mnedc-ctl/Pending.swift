import ArgumentParser
import CommandLine
import Control

struct Pending: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the devices that wait for approval.",
    discussion: "Compare the fingerprint with that of mnedc-ctl key on the device. For root, and for the relay's user.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: PendingReport = try control.ask(.pending)
    try output.show(report, as: Self.table(report), isEmpty: report.devices.isEmpty, "no device waits for approval")
  }

  private static func table(_ report: PendingReport) -> Table {
    var table = Table(["ID", "FINGERPRINT", "FROM", "WAITING"])
    for device in report.devices {
      table.add([device.deviceId, device.fingerprint, device.outerAddress, Table.time(device.waiting)])
    }
    return table
  }
}
