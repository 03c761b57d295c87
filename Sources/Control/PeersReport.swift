public import Wire

/// The answer to `peers`, and to `fetch` and `show` with the one. Times are in seconds unless the name says otherwise.
public struct PeersReport: Codable, Sendable, Equatable {
  public enum State: String, CaseIterable, Codable, Sendable {
    /// The relay has a live session with it.
    case online
    /// The relay has, but the last echo between this device and it was not answered.
    case silent
    /// This device exchanges nothing with it, because of its key.
    case untrusted
    /// This device has no connection to the relay, so it cannot tell.
    case unknown
  }

  public struct Peer: Codable, Sendable, Equatable {
    public var address: String
    public var address6: String?
    public var deviceId: String
    public var state: State
    /// The path that packets to it take: `relay`, or `tcp` for a direct one, whose other end is `remote`.
    public var path: String?
    public var remote: String?
    /// The last echo between this device and the peer, sealed from end to end.
    public var roundTripMs: Double?
    /// How long ago the peer has last proved that it is there.
    public var proofAge: Double?
    /// What only the relay knows: where the device connects from, since when, and the echo between them.
    public var outerAddress: String?
    public var connected: Double?
    public var relayRoundTripMs: Double?
    // What the peer tells of itself; all absent while that is not known here.
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
  /// The address of the relay's host, whether that is a device or not.
  public var relayAddress: String?
  /// The host that was asked, if it is a device: its state is `online` while it has a connection to the relay.
  public var `self`: Peer?
  /// Why this host cannot tell how its peers are: it has no connection to the relay. Absent while it has one.
  public var disconnected: String?
  /// Whether `peers` are all there are; in a large network, a device knows those that it deals with.
  public var complete: Bool
  /// Which other network of this host has addresses of this one, and which addresses; absent: none has.
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
