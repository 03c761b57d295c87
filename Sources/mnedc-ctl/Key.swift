import ArgumentParser
import CommandLine
import Control

struct Key: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the public key of a daemon and its fingerprint.",
    discussion: "Any user may ask.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: KeyReport = try control.ask(.key)
    let role = report.deviceId.map { "\(report.role.rawValue) \($0)" } ?? report.role.rawValue
    try output.show(report) { "\(role)\nkey          \(report.key)\nfingerprint  \(report.fingerprint)" }
  }
}
