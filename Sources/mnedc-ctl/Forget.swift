import ArgumentParser
import Control
import Program

struct Forget: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a device's session and forgets the device.",
    discussion: "It is to the relay as any other again, and may be let in anew. For root, and for the relay's user.")

  @Argument(help: "The device's ID.", completion: .knownDevices)
  var device: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: DevicesReport = try control.ask(.forget(deviceID: device))
    try output.show(report) {
      report.devices.map { "\(device) (\($0.fingerprint)) is forgotten" }.joined(separator: "\n")
    }
  }
}
