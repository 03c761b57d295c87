import ArgumentParser
import CommandLine
import Control

struct Forget: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a device's session and deletes its record.",
    discussion: "The relay may admit it again, as any new device. For root, and for the relay's user.")

  @Argument(
    help: "The device's ID, host name or virtual address, or the beginning of its fingerprint.",
    completion: .knownDevices)
  var device: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: DevicesReport = try control.ask(.forget(device: device))
    try output.show(report) {
      report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is forgotten" }.joined(separator: "\n")
    }
  }
}
