/// One line of the answer to `subscribe`: first a snapshot, then the changes.
public struct PeerEventReport: Codable, Sendable, Equatable {
  public enum Event: String, Codable, Sendable {
    /// `report` has the present state and replaces all earlier events.
    case snapshot
    case joined
    case left
    /// The peer's information has become known, or has changed.
    case changed
    // The daemon's own connection to the relay.
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
