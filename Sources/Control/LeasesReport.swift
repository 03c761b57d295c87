/// The answer to `leases`, and to `lease-pin` and `lease-free` with the one. Points in time are Unix seconds (`_at`).
public struct LeasesReport: Codable, Sendable, Equatable {
  public enum Kind: String, Codable, Sendable {
    /// The device's until it has been away for long and the pool is full.
    case leased
    /// An operator has pinned it.
    case pinned
    /// The configuration gives it to the device.
    case fixed
    /// Not of the pool any more, or not for the device by the configuration: the device gets another one when it joins.
    case outside
  }

  public struct Lease: Codable, Sendable, Equatable {
    public var address: String
    /// The IPv6 address that goes with it.
    public var address6: String?
    public var deviceId: String
    public var kind: Kind
    public var online: Bool
    /// When the device joined or left last.
    public var lastUsedAt: Int

    public init(
      address: String, address6: String?, deviceId: String, kind: Kind, online: Bool, lastUsedAt: Int
    ) {
      self.address = address
      self.address6 = address6
      self.deviceId = deviceId
      self.kind = kind
      self.online = online
      self.lastUsedAt = lastUsedAt
    }
  }

  public var version = 1
  public var leases: [Lease]

  public init(_ leases: [Lease]) {
    self.leases = leases
  }
}
