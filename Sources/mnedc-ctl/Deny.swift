import ArgumentParser
import CommandLine
import Control

struct Deny: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Refuses a device that waits for approval.",
    discussion: "Its key is refused for an hour. For root, and for the relay's user.")

  @Argument(
    help: "The device's ID, or the beginning of its fingerprint; mnedc-ctl pending lists both.",
    completion: .pendingDevices)
  var name: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: PendingReport = try control.ask(.deny(name))
    try output.show(report) {
      report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is refused for an hour" }.joined(separator: "\n")
    }
  }
}
