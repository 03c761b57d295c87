import ArgumentParser
import CommandLine
import Control

struct Uninvite: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Revokes an invite.",
    discussion: "Devices that it has admitted stay. For root, and for the relay's user.")

  @Argument(help: "The invite's ID, as mnedc-ctl invites lists it.", completion: .invites)
  var id: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report: InvitesReport = try control.ask(.uninvite(id: id))
    try output.show(report) { "the invite \(id) is revoked" }
  }
}
