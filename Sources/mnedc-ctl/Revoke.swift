import ArgumentParser
import Control
import Program

struct Revoke: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a device's session and refuses its key for good.",
    discussion: "Its device ID is free for another device then. For root, and for the relay's user.")

  @Argument(help: "The device's ID.", completion: .devices)
  var device: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: DevicesReport = try control.ask(.revoke(deviceID: device))
    try output.show(report) {
      report.devices.map { "the key \($0.fingerprint) of \(device) is refused from now on" }.joined(separator: "\n")
    }
  }
}
