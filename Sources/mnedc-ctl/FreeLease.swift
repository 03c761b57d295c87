import ArgumentParser
import CommandLine
import Control

struct FreeLease: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "free",
    abstract: "Frees the address of a device that is not connected.",
    discussion: "If the device is connected, only the pin is removed. For root, and for the relay's user.")

  @Argument(
    help: "The address, or the device's ID, host name or the beginning of its fingerprint.", completion: .leases)
  var lease: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: LeasesReport = try control.ask(.freeLease(lease))
    try output.show(report) {
      report.leases.map { lease in
        lease.online
          ? "\(lease.address) is not pinned any more; \(lease.deviceId) is connected and keeps it"
          : "\(lease.address) is free; \(lease.deviceId) has no address any more"
      }.joined(separator: "\n")
    }
  }
}
