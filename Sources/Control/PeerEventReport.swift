/// One line of the answer to `subscribe`: first a snapshot, then what becomes of peers.
public struct PeerEventReport: Codable, Sendable, Equatable {
  public enum Event: String, Codable, Sendable {
    /// All that is known now, in `report`: what went before is outdated.
    case snapshot
    case joined
    case left
    /// What the peer tells of itself is known now, or newer.
    case changed
    /// The daemon's own connection to the relay.
    case uplinkLost = "uplink-lost"
    case uplinkBack = "uplink-back"
  }

  public private(set) var version = JSONVersion()
  public var event: Event
  /// Unix seconds.
  public var time: Int
  public var peer: PeersReport.Peer?
  public var report: PeersReport?

  public init(_ event: Event, time: Int, peer: PeersReport.Peer? = nil, report: PeersReport? = nil) {
    self.event = event
    self.time = time
    self.peer = peer
    self.report = report
  }
}
