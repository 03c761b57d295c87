internal import CommandLine
public import Control
internal import Wire

/// A report as a table for people.
public struct PeerList: Sendable {
  public var filter = PeerFilter()
  public var order = PeerOrder.address
  /// The most peers that are listed.
  public var limit: Int?
  public var isWide = false
  public var hasHeader = true
  public var hasColour = false

  public init() {}

  /// The selected peers, in order.
  public func peers(of report: PeersReport) -> [PeersReport.Peer] {
    let wanted = order.sorted(filter.isEmpty ? report.peers : report.peers.filter(filter.passes))
    return limit.map { Array(wanted.prefix($0)) } ?? wanted
  }

  /// The report with these peers only.
  public func applied(to report: PeersReport) -> PeersReport {
    var report = report
    report.peers = peers(of: report)
    return report
  }

  /// One line per peer; this host comes first unless a filter is set. Lines longer than `width` columns have their
  /// device IDs shortened first, then their ends cut. Addresses stay whole.
  public func text(_ report: PeersReport, width: Int? = nil) -> String {
    var rows: [[String]] = []
    if filter.isEmpty, let own = report.`self` {
      rows.append(row(own, state: "this host"))
    }
    rows += peers(of: report).map { row($0, state: $0.state.rawValue) }
    let header = ["ADDRESS", "ID", "STATE", "PATH", "ROUND-TRIP", "PROOF", "PLATFORM", "SERVICES"]
    let wide = ["IPV6", "HOST", "TYPE", "LABELS", "LOAD", "FROM", "CONNECTED"]
    let names = isWide ? header + wide : header
    let all = (hasHeader ? [names] : []) + rows
    var columns = Columns(width: isWide ? nil : width)
    columns.shortening = header.firstIndex(of: "ID")
    if hasColour {
      columns.colour = { [hasHeader, state = header.firstIndex(of: "STATE")] row, column in
        if hasHeader, row == 0 { return .bold }
        return column == state ? PeersReport.State(rawValue: all[row][column])?.colour : nil
      }
    }
    return columns.lines(all).joined(separator: "\n")
  }

  /// A remark for the reader of the table, if there is one.
  public func footnote(_ report: PeersReport) -> String? {
    var notes: [String] = []
    if let collision = report.collision, report.network != nil || !report.peers.isEmpty {
      notes.append("Another network of this host has the same addresses: \(collision.harmless).")
    }
    if let why = report.disconnected, report.network != nil || !report.peers.isEmpty {
      let what = report.peers.isEmpty ? "which devices are connected" : "the state of its peers"
      notes.append(
        "This host has no connection to the relay, so \(what) is unknown: \(why.harmless). "
          + "mnedc-ctl netcheck finds out more.")
    }
    if !report.complete {
      notes.append(
        "The network is large, so this host knows only the devices that it exchanges packets with. "
          + "The relay lists all.")
    }
    let unknown = report.peers.count { $0.revision == nil }
    if unknown > 0 {
      notes.append(
        "\(unknown) of \(report.peers.count) peers have not told this host what they offer; --fetch asks them.")
    }
    return notes.isEmpty ? nil : notes.joined(separator: "\n")
  }

  /// Why the list is empty, for people; `nil` if it is not.
  public func emptiness(of report: PeersReport) -> String? {
    guard peers(of: report).isEmpty, !filter.isEmpty || report.`self` == nil else { return nil }
    if report.network == nil {
      let why = (report.collision ?? report.disconnected).map { ": \($0.harmless)" } ?? "; mnedc-ctl status says why"
      return "this host has not joined its network\(why)"
    }
    switch report.peers.count {
    // The footnote says why.
    case 0 where report.disconnected != nil: return "this host knows of no other device"
    case 0: return filter.isEmpty ? "no device is in the network" : "no other device is in the network"
    case 1: return "the only other device does not match"
    case let count: return "none of \(count) other devices matches"
    }
  }

  private func row(_ peer: PeersReport.Peer, state: String) -> [String] {
    var cells = [
      peer.address, peer.deviceId, state, peer.path ?? "",
      (peer.roundTripMs ?? peer.relayRoundTripMs).map(Table.milliseconds) ?? "", peer.proofAge.map(Table.time) ?? "",
      peer.platform ?? "", peer.services.map(Self.text) ?? "",
    ]
    if isWide {
      cells += [
        peer.address6 ?? "", peer.hostName ?? "", peer.executionType ?? "", peer.labels.map(Self.text) ?? "",
        peer.load.map { Self.text($0) } ?? "", peer.outerAddress ?? peer.place?.outer ?? "",
        peer.connected.map(Table.time) ?? "",
      ]
    }
    return cells.map(\.harmless)
  }

  /// The services' names, with their health unless it is up.
  static func text(_ services: [Orchestration.Service]) -> String {
    services.map { $0.health == .up ? $0.name : "\($0.name)(\($0.health.rawValue))" }.joined(separator: ",")
  }

  static func text(_ labels: [String: String]) -> String {
    labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  static func text(_ load: Double) -> String {
    let rounded = (load * 100).rounded() / 100
    return "\(rounded)"
  }
}

extension PeersReport.State {
  fileprivate var colour: Colour {
    switch self {
    case .online: .green
    case .silent: .yellow
    case .untrusted: .red
    case .unknown: .dim
    }
  }
}
