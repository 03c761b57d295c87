/// Where a device sits, as far as it and the relay can tell.
public struct PlaceReport: Codable, Sendable, Equatable {
  /// What the relay sees its connection come from.
  public var outer: String?
  /// Its own end of the connection.
  public var local: String?
  /// The routers on the way that have private addresses, its own first.
  public var hops: [String]

  public init(outer: String? = nil, local: String? = nil, hops: [String] = []) {
    self.outer = outer
    self.local = local
    self.hops = hops
  }
}
