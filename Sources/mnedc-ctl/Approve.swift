import ArgumentParser
import Control
import Program

struct Approve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lets a device in that waits for it.",
    discussion: "From then on the relay knows the device. For root, and for the relay's user.")

  @Argument(help: "The device's ID, or the beginning of its fingerprint; mnedc-ctl pending lists both.", completion: .pendingDevices)
  var name: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: PendingReport = try control.ask(.approve(name))
    try output.show(report) {
      report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is let in" }.joined(separator: "\n")
    }
  }
}
