/// Where a device sits, as far as it and the relay can tell.
public struct PlaceReport: Codable, Sendable, Equatable {
  /// What the relay sees its connection come from.
  public var outerAddress: String?
  /// Its own end of the connection.
  public var localAddress: String?
  /// The routers on the way that have private addresses, its own first.
  public var hops: [String]

  public init(outerAddress: String?, localAddress: String?, hops: [String]) {
    self.outerAddress = outerAddress
    self.localAddress = localAddress
    self.hops = hops
  }
}
