import ArgumentParser
import Control
import Program

struct RotateKey: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate-key",
    abstract: "Puts a new key in the place of a daemon's own.",
    discussion: """
      A device keeps its ID, address and open connections. A relay tells its devices, and those that come later by its old \
      key. For root, and for the daemon's user.
      """)

  @Flag(help: "Of a relay whose key was stolen: devices that are not in now have to be told the new key by hand.")
  var forgetOld = false

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: KeyReport = try control.ask(.rotateKey(forgetOld: forgetOld))
    try output.show(report) { "the new key is \(report.key)\nfingerprint    \(report.fingerprint)" }
  }
}
