public import Wire

/// The answer to `peers` and `fetch`, and to `show` with one peer. Times are in seconds unless the name says otherwise.
public struct PeersReport: Codable, Sendable, Equatable {
  public enum State: String, CaseIterable, Codable, Sendable {
    /// The relay has a live session with it.
    case online
    /// The relay has a session with it, but it did not answer this device's last echo.
    case silent
    /// This device refuses its key and exchanges nothing with it.
    case untrusted
    /// This device has no connection to the relay, so it cannot tell.
    case unknown
  }

  public struct Peer: Codable, Sendable, Equatable {
    public var address: String
    public var address6: String?
    public var deviceId: String
    public var state: State
    /// The path of packets to it: `relay`, or `tcp` for a direct connection, whose other end is `remote`.
    public var path: String?
    public var remote: String?
    /// The round trip of the last end-to-end echo between this device and the peer.
    public var roundTripMs: Double?
    /// Time since the peer last proved that it is alive.
    public var proofAge: Double?
    // Known to the relay only: the device's outer address, the time since it connected, and the relay's echo.
    public var outerAddress: String?
    public var connected: Double?
    public var relayRoundTripMs: Double?
    // The peer's own information, absent while it is unknown here.
    public var revision: Int?
    public var hostName: String?
    public var platform: String?
    public var executionType: String?
    public var services: [Orchestration.Service]?
    public var labels: [String: String]?
    public var load: Double?
    public var place: Orchestration.Location?

    public init(address: String, address6: String? = nil, deviceId: String, state: State) {
      self.address = address
      self.address6 = address6
      self.deviceId = deviceId
      self.state = state
    }
  }

  public private(set) var version = JSONVersion()
  public var network: String?
  /// The virtual address of the relay's host, whether or not that is a device.
  public var relayAddress: String?
  /// This host, if it is a device. Its state is `online` while it has a connection to the relay.
  public var `self`: Peer?
  /// Why this host has no connection to the relay, so the peers' state is unknown. Absent while it has one.
  public var disconnected: String?
  /// Whether `peers` lists all devices. In a large network, a device knows only those that it exchanges packets with.
  public var complete: Bool
  /// The other network of this host whose addresses overlap with this one's, and which; absent if none does.
  public var collision: String?
  public var peers: [Peer]

  public init(network: String?, relayAddress: String? = nil, `self` own: Peer?, complete: Bool, peers: [Peer]) {
    self.network = network
    self.relayAddress = relayAddress
    self.complete = complete
    self.`self` = own
    self.peers = peers
  }
}
