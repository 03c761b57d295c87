internal import CommandLine
public import Control
internal import Wire

/// Passes only events about peers that the filter selects, and one last event about a peer that it no longer selects.
public struct EventFilter: Sendable {
  private let list: PeerList
  /// The peers of passed events, by address.
  private var shown: Set<String> = []

  public init(_ list: PeerList) {
    self.list = list
  }

  /// The event to show, or `nil`.
  public mutating func take(_ event: PeerEventReport) -> PeerEventReport? {
    var event = event
    if let report = event.report {
      let report = list.applied(to: report)
      event.report = report
      shown = Set(report.peers.map(\.address))
    }
    guard let peer = event.peer, !list.filter.isEmpty else { return event }
    let wasShown = shown.contains(peer.address)
    let isWanted = event.event != .left && list.filter.passes(peer)
    if isWanted { shown.insert(peer.address) } else { shown.remove(peer.address) }
    return wasShown || isWanted ? event : nil
  }
}

extension PeerEventReport {
  /// One line for people.
  public var line: String {
    guard let peer else { return event == .uplinkLost ? "no connection to the relay" : "connected to the relay again" }
    var words = [peer.address, peer.deviceId, event.rawValue]
    if let platform = peer.platform { words.append(platform) }
    if let services = peer.services, !services.isEmpty { words.append(PeerList.text(services)) }
    return words.joined(separator: "  ").harmless
  }
}
