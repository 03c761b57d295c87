import ArgumentParser
import CommandLine
import Control
import SystemIO
import Wire

struct Invites: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the invites of the relay.",
    discussion: "Used, expired and revoked invites are kept for 30 days. For root, and for the relay's user.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: InvitesReport = try control.ask(.invites)
    try output.show(report, as: Self.table(report), isEmpty: report.invites.isEmpty, "no invite was made")
  }

  private static func table(_ report: InvitesReport) -> Table {
    let now = Int(UnixTime.now())
    var table = Table(["INVITE", "STATE", "USES LEFT", "EXPIRES IN", "FOR"])
    for invite in report.invites {
      table.add([
        invite.id, invite.state.rawValue, "\(invite.usesLeft) of \(invite.usesTotal)",
        invite.state == .usable ? Table.time(Double(max(0, invite.expiresAt - now))) : "",
        invite.deviceId ?? "any device",
      ])
    }
    return table
  }
}
