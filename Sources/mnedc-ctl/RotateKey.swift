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
    try output.show(report) { Self.text(report) }
  }

  private static func text(_ report: KeyReport) -> String {
    var lines = ["the new key is \(report.key)", "fingerprint    \(report.fingerprint)"]
    if let count = report.revokedInvites, count > 0 {
      let them = count == 1 ? "is revoked, as it names" : "are revoked, as they name"
      lines.append("\(Table.count(count, "invite")) \(them) the old key; mnedc-ctl invite makes new ones")
    }
    return lines.joined(separator: "\n")
  }
}
