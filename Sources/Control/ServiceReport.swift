/// Something that a device offers.
public struct ServiceReport: Codable, Sendable, Equatable {
  public enum Health: String, CaseIterable, Codable, Sendable {
    case up, degraded, down
  }

  public var name: String
  public var version: String?
  public var port: Int?
  public var `protocol`: String?
  public var health: Health

  public init(
    name: String, version: String? = nil, port: Int? = nil, protocol: String? = nil, health: Health = .up
  ) {
    self.name = name
    self.version = version
    self.port = port
    self.protocol = `protocol`
    self.health = health
  }
}
