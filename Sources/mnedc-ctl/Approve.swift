import ArgumentParser
import CommandLine
import Control

struct Approve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Admits a device that waits for approval.",
    discussion: "The relay admits it from now on. For root, and for the relay's user.")

  @Argument(
    help: "The device's ID, or the beginning of its fingerprint; mnedc-ctl pending lists both.",
    completion: .pendingDevices)
  var name: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: PendingReport = try control.ask(.approve(name))
    try output.show(report) {
      report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is admitted" }.joined(separator: "\n")
    }
  }
}
