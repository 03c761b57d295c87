import ArgumentParser
import CommandLine
import Config
import Control
import SystemIO
import Wire

struct Invite: ParsableCommand {
  static let configuration = CommandConfiguration(
    for: "invite",
    """
    Prints the line alone on standard output, and what it is good for on standard error. It is a secret and is shown \
    only once.
    """)

  @OptionGroup var control: ControlOptions

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Admit this many devices (default: \(InviteOrder.defaultUses)).", valueName: "number"),
    transform: { try ValueKind<Int>.inviteUses.option($0) })
  var uses = InviteOrder.defaultUses

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Expire after this time (default: \(ValueKind<Duration>.inviteLifetime.text(defaultLifetime))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.inviteLifetime.option($0) })
  var expires = defaultLifetime

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Admit only a device with this ID (default: any device).", valueName: "id"),
    transform: { try ValueKind<String>.deviceID.option($0) })
  var deviceID: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      """
      Name this address of the relay (default: relay.public-address, or what the relay finds out); may be given \
      several times.
      """,
      valueName: "host:port"),
    transform: { try ValueKind<ServerAddress>.server.option($0) })
  var server: [ServerAddress] = []

  @OptionGroup var output: OutputOptions

  private static let defaultLifetime = Duration.seconds(InviteOrder.defaultLifetime)

  func run() throws {
    // The relay counts whole seconds.
    let (seconds, fraction) = expires.components
    let order = InviteOrder(
      uses: uses, lifetime: Int(seconds) + (fraction > 0 ? 1 : 0), deviceID: deviceID,
      servers: server.map(\.description))
    let report: NewInviteReport = try control.ask(.invite(order))
    try output.show(report) { report.invite }
    if !output.json { printError(summary(report)) }
    let servers = report.servers.compactMap { try? ServerAddress(parsing: $0) }
    if servers.allSatisfy(\.isLoopback) {
      printError(
        "warning: every server of the invite is this host itself, so the invite works on this host only; name an "
          + "address that devices can reach (--server HOST:PORT, or relay.public-address in the configuration)")
    } else if servers.allSatisfy({ $0.isPrivate || $0.isLoopback }) {
      printError(
        "warning: every server of the invite is a private address, which devices elsewhere cannot reach; if they are "
          + "to join, name a public one (--server HOST:PORT, or relay.public-address in the configuration)")
    }
  }

  /// For whom, how long and where the invite is valid, which people cannot read off the line.
  private func summary(_ report: NewInviteReport) -> String {
    let devices = report.deviceId ?? Table.count(report.uses, "device")
    return "invite \(report.id): for \(devices), for \(ValueKind<Duration>.inviteLifetime.text(expires)), at "
      + report.servers.joined(separator: ", ")
  }
}
