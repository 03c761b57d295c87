import ArgumentParser
import CommandLine
import Config
import Control
import Wire

struct PinLease: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin",
    abstract: "Reserves a device's address, or another address, for that device.",
    discussion: "For another address, a connected device has to reconnect. For root, and for the relay's user.")

  @Argument(
    help: "The device's ID, host name or virtual address, or the beginning of its fingerprint.", completion: .devices)
  var device: String

  @Argument(
    help: "The address to reserve (default: the one that the device has).",
    transform: { try ValueKind<IPv4Address>.virtualAddress.option($0) })
  var address: IPv4Address?

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: LeasesReport = try control.ask(.pinLease(device: device, address: address?.description))
    try output.show(report) {
      report.leases.map { "\($0.address) is reserved for \($0.deviceId) from now on" }.joined(separator: "\n")
    }
  }
}
