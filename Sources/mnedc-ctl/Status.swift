import ArgumentParser
import CommandLine
import Control
import Wire

struct Status: RequestCommand {
  static let configuration = CommandConfiguration(for: "status")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .status }

  func text(_ report: StatusReport) -> String {
    var parts = [
      "\(report.program) \(report.programVersion), process \(report.processId), up \(Table.time(report.uptime)), logs "
        + report.logLevel
    ]
    if let relay = report.relay { parts.append(Self.text(relay)) }
    if let device = report.device { parts.append(Self.text(device)) }
    if !report.lastErrors.isEmpty { parts.append(Self.text(report.lastErrors)) }
    return parts.joined(separator: "\n\n")
  }

  private static func text(_ errors: [LogLineReport]) -> String {
    (["last errors"] + errors.map { "  \($0.time.prefix(19)) \($0.level): \($0.text)" }).joined(separator: "\n")
  }

  private static func text(_ relay: RelayReport) -> String {
    var lines = [
      "relay      \(relay.pool)\(relay.pool6.map { ", \($0)" } ?? "") at \(relay.listen.joined(separator: ", "))",
      "key        \(relay.fingerprint)",
      "admission  \(relay.admission), \(relay.pending) pending",
      "devices    \(relay.online) of \(relay.capacity), \(relay.joining) joining",
      "traffic    \(traffic(relay.sessions.map(\.link)))",
      "unreached  \(Table.count(relay.unreachableFrames, "frame")) for addresses that no device has",
      "refused    \(Table.kinds(relay.refused.map { ($0.count, $0.code) })); "
        + "closed: \(Table.kinds([(relay.notAuthentic, "not authentic"), (relay.malformed, "malformed")]))",
    ]
    if relay.draining { lines.append("draining   it ends when all is delivered") }
    if !relay.sessions.isEmpty {
      var table = Table(["ADDRESS", "ID", "FROM", "SILENT", "RECEIVED", "SENT", "QUEUE", "DELAY", "DROPS"])
      for session in relay.sessions {
        table.add([
          session.address, session.deviceId, session.outerAddress, Table.time(session.silent),
          Table.bytes(session.link.receivedBytes), Table.bytes(session.link.sentBytes),
          Table.bytes(session.link.queueBytes), Table.milliseconds(session.link.queueDelayMs),
          Table.drops([session.link]),
        ])
      }
      lines += ["", table.shown]
    }
    return lines.joined(separator: "\n")
  }

  /// The sum over all sessions, each since it connected.
  private static func traffic(_ links: [LinkReport]) -> String {
    func sum(_ part: (LinkReport) -> Int) -> Int { links.reduce(0) { $0 + part($1) } }
    return "\(Table.bytes(sum(\.receivedBytes))) received, \(Table.bytes(sum(\.sentBytes))) sent; "
      + "\(Table.bytes(sum(\.queueBytes))) wait; dropped: \(Table.drops(links))"
  }

  private static func text(_ device: DeviceReport) -> String {
    let (packets, links) = (device.packets, device.peerLinks)
    let state = device.state == .joined ? "joined" : "\(device.state.rawValue) (\(device.progress))"
    let (address6, network) = (device.address6.map { ", \($0)" } ?? "", device.network.map { " in \($0)" } ?? "")
    let relay = device.relayAddress.map { " (\($0))" } ?? ""
    let roundTrip = device.roundTripMs.map { ", \(Table.milliseconds($0)) away" } ?? ""
    var lines = [
      "device     \(device.deviceId), \(state)",
      "address    \(device.address ?? "none yet")\(address6) (\(device.interface))\(network)",
      "server     \(device.server ?? "none yet")\(relay)\(roundTrip)",
      "place      \(device.place?.text ?? "not known")",
      "names      \(device.names.map { text($0) } ?? "not known")",
      "peers      \(device.peers)",
      "packets    \(packets.sent) sent, \(packets.received) received; dropped: "
        + Table.kinds([
          (packets.malformed, "malformed"), (packets.unroutable, "for nobody"), (packets.misaddressed, "misaddressed"),
          (packets.limited, "beyond the limit"), (packets.overdue, "overdue"), (packets.early, "early"),
        ]),
      "sealed     \(Table.count(links.sessions, "session")); handshakes: \(links.initiations) begun, "
        + "\(links.answers) answered; dropped: "
        + Table.kinds([
          (links.forged, "forged"), (links.replayed, "replayed"), (links.unknownSession, "of no session"),
          (links.limited, "beyond the limit"), (links.refused, "refused"),
        ]),
      "uplink     \(Table.bytes(device.link.sentBytes)) sent, \(Table.bytes(device.link.receivedBytes)) received; "
        + "\(Table.bytes(device.link.queueBytes)) wait, delay \(Table.milliseconds(device.link.queueDelayMs)); "
        + "dropped: \(Table.drops([device.link]))",
      "joins      \(device.joins)",
    ]
    if let problem = device.interfaceProblem { lines.insert("interface  \(problem)", at: 2) }
    if let collision = device.collision { lines.append("collision  \(collision)") }
    if let error = device.lastError { lines.append("last loss  \(error)") }
    return lines.joined(separator: "\n")
  }

  private static func text(_ names: NamesReport) -> String {
    let note = names.note.map { " (\($0))" } ?? ""
    let place =
      switch names.by {
      case .off: "off"
      case .systemdResolved: "*.\(names.domain) by systemd-resolved"
      case .hostsFile: "*.\(names.domain) by \(names.hostsFile ?? "a hosts file")"
      case .server: "*.\(names.domain) by the device's own server alone"
      }
    return place + (names.resolves == false ? ", do not resolve on this host" : "") + note
  }
}

extension Table {
  /// The frames that these links' queues dropped, by cause.
  fileprivate static func drops(_ links: [LinkReport]) -> String {
    kinds([
      (links.reduce(0) { $0 + $1.lateDrops }, "late"), (links.reduce(0) { $0 + $1.overflowDrops }, "full"),
    ])
  }
}
