/// The answer to `peers`.
public struct PeersReport: Codable, Sendable, Equatable {
  public struct Member: Codable, Sendable, Equatable {
    public var address: String
    public var address6: String?
    public var deviceId: String

    public init(address: String, address6: String? = nil, deviceId: String) {
      self.address = address
      self.address6 = address6
      self.deviceId = deviceId
    }
  }

  public enum State: String, Codable, Sendable {
    /// The relay has a live session with it.
    case online
    /// This device has no connection to the relay, so it cannot tell.
    case unknown
  }

  public struct Peer: Codable, Sendable, Equatable {
    public var address: String
    public var address6: String?
    public var deviceId: String
    public var state: State
    /// What only the relay knows: where the device connects from, since when, and the echo between them.
    public var outerAddress: String?
    public var connected: Double?
    public var roundTripMs: Double?

    public init(
      address: String, address6: String? = nil, deviceId: String, state: State, outerAddress: String? = nil,
      connected: Double? = nil, roundTripMs: Double? = nil
    ) {
      self.address = address
      self.address6 = address6
      self.deviceId = deviceId
      self.state = state
      self.outerAddress = outerAddress
      self.connected = connected
      self.roundTripMs = roundTripMs
    }
  }

  public var version = 1
  public var network: String?
  /// The host that was asked, if it is a device.
  public var `self`: Member?
  /// Whether `peers` are all there are; in a large network, a device knows those that it deals with.
  public var complete: Bool
  public var peers: [Peer]

  public init(network: String?, `self` member: Member?, complete: Bool, peers: [Peer]) {
    self.network = network
    self.complete = complete
    self.`self` = member
    self.peers = peers
  }
}
