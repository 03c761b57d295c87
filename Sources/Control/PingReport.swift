/// The answer to `ping`: one echo between this host's device and a peer.
public struct PingReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  public var address: String
  public var deviceId: String
  /// Absent if no answer came in time.
  public var roundTripMs: Double?
  /// The path of the echo, `relay`, and the relay's address.
  public var path: String
  public var server: String?

  public init(address: String, deviceId: String, roundTripMs: Double?, path: String, server: String?) {
    self.address = address
    self.deviceId = deviceId
    self.roundTripMs = roundTripMs
    self.path = path
    self.server = server
  }
}
