/// The answer to `ping`: one echo between this host's device and a peer.
public struct PingReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  public var address: String
  public var deviceId: String
  /// Absent if no answer came in time.
  public var roundTripMs: Double?
  /// The path of the echo: `relay`, whose address is `server`, or `tcp`, a direct connection to `remote`.
  public var path: String
  public var server: String?
  public var remote: String?

  public init(
    address: String, deviceId: String, roundTripMs: Double?, path: String, server: String?, remote: String? = nil
  ) {
    self.address = address
    self.deviceId = deviceId
    self.roundTripMs = roundTripMs
    self.path = path
    self.server = server
    self.remote = remote
  }
}
