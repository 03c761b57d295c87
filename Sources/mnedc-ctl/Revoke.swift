import ArgumentParser
import CommandLine
import Control

struct Revoke: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a device's session and refuses its key for good.",
    discussion: "On a terminal it asks first. Another device may take the ID then. For root, and for the relay's user.")

  @Argument(
    help: "The device's ID, host name or virtual address, or the beginning of its fingerprint.", completion: .devices)
  var device: String

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: DevicesReport = try control.ask(.revoke(device: try confirmed()))
    try output.show(report) {
      report.devices.map { "the key \($0.fingerprint) of \($0.deviceId) is refused from now on" }
        .joined(separator: "\n")
    }
  }

  /// What names the device that the person has agreed to.
  private func confirmed() throws -> String {
    guard confirmation.isAsking else { return device }
    let found: DevicesReport = try control.ask(.devices(named: device))
    guard let one = found.devices.first, one.status == .active else { return device }
    let state = one.address.map { "is connected at \($0)" } ?? "is not connected"
    try confirmation.confirm(
      "This locks \(one.deviceId) (\(one.fingerprint)) out, which \(state): to join again, it needs a new key and a new "
        + "invite.")
    return one.fingerprint
  }
}
