import ArgumentParser
import Config
import Control
import Program

struct Invite: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes an invite, the line that lets a device join.",
    discussion:
      "The line is a secret for whoever may join, and is shown this once only. For root, and for the relay's user."
  )

  @OptionGroup var control: ControlOptions

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Let so many devices in (default: \(InviteOrder.defaultUses)).", valueName: "number"),
    transform: { try ValueKind<Int>.inviteUses.option($0) })
  var uses = InviteOrder.defaultUses

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Be good for this long (default: \(ValueKind<Duration>.inviteLifetime.text(defaultLifetime))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.inviteLifetime.option($0) })
  var expires = defaultLifetime

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Let in only a device that goes by this ID (default: any device).", valueName: "id"),
    transform: { try ValueKind<String>.deviceID.option($0) })
  var deviceID: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Say that the relay is here (default: relay.public-address, or what the relay finds out); may be given several times.",
      valueName: "host:port"),
    transform: { try ValueKind<ServerAddress>.server.option($0) })
  var server: [ServerAddress] = []

  @OptionGroup var output: OutputOptions

  private static let defaultLifetime = Duration.seconds(InviteOrder.defaultLifetime)

  func run() throws {
    // A part of a second is none to the relay.
    let (seconds, fraction) = expires.components
    let order = InviteOrder(
      uses: uses, lifetime: Int(seconds) + (fraction > 0 ? 1 : 0), deviceID: deviceID,
      servers: server.map(\.description))
    let report: NewInviteReport = try control.ask(.invite(order))
    try output.show(report) { report.invite }
  }
}
