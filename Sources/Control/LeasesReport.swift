public import Wire

/// The answer to `leases`, and to `lease-pin` and `lease-free` with the changed one. Points in time (`_at`) are Unix
/// seconds.
public struct LeasesReport: Codable, Sendable, Equatable {
  public struct Lease: Codable, Sendable, Equatable {
    public var address: String
    /// The IPv6 address that goes with it.
    public var address6: String?
    public var deviceId: String
    public var kind: LeaseKind
    public var online: Bool
    /// When the device last joined or left.
    public var lastUsedAt: Int

    public init(
      address: String, address6: String?, deviceId: String, kind: LeaseKind, online: Bool, lastUsedAt: Int
    ) {
      self.address = address
      self.address6 = address6
      self.deviceId = deviceId
      self.kind = kind
      self.online = online
      self.lastUsedAt = lastUsedAt
    }
  }

  public private(set) var version = JSONVersion()
  public var leases: [Lease]

  public init(_ leases: [Lease]) {
    self.leases = leases
  }
}
