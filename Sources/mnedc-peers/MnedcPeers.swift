import ArgumentParser
import Control
import Program

struct MnedcPeers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-peers",
    abstract: "Lists the devices of the network that this host is in.",
    discussion: "Asks the daemon on this host. Any user may.",
    version: suiteVersion)

  @OptionGroup var control: ControlOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let report: PeersReport = try control.ask(.peers)
    try printOut(json ? JSON.pretty(report) : Self.text(report))
  }

  private static func text(_ report: PeersReport) -> String {
    let table = table(report).text
    return report.complete
      ? table : "\(table)\nThe network is large: these are the devices that this host deals with. The relay lists all."
  }

  private static func table(_ report: PeersReport) -> Table {
    let fromRelay = report.peers.contains { $0.outerAddress != nil }
    var table = Table(["ADDRESS", "ID", "STATE"] + (fromRelay ? ["CONNECTED", "ROUND TRIP", "FROM"] : []))
    if let own = report.`self` {
      table.add([own.address, own.deviceId, "this host"])
    }
    for peer in report.peers {
      table.add([
        peer.address, peer.deviceId, peer.state.rawValue, peer.connected.map(Table.time) ?? "",
        peer.roundTripMs.map(Table.milliseconds) ?? "", peer.outerAddress ?? "",
      ])
    }
    return table
  }
}

@main
enum Entry {
  static func main() {
    Program.run(MnedcPeers.self)
  }
}
