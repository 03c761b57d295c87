public import SystemIO
public import SystemPackage
public import Wire

/// What a device needs to know, as plain values.
public struct DeviceSettings: Sendable {
  public var deviceID: String
  public var route: RelayRoute
  /// The address to ask the relay for, and nothing else will do; `nil` to take what it gives.
  public var address: IPv4Address?
  /// The interface's MTU in bytes.
  public var mtu: Int
  /// How many bytes of data may wait for the relay.
  public var queueLimit: Int

  public init(
    deviceID: String, route: RelayRoute, address: IPv4Address? = nil, mtu: Int = 1400, queueLimit: Int = 4 << 20
  ) {
    self.deviceID = deviceID
    self.route = route
    self.address = address
    self.mtu = mtu
    self.queueLimit = queueLimit
  }

  /// How long one address of the relay may take to answer before the next is tried.
  static let connectTimeout = Duration.seconds(5)
  /// How long the relay may take to answer a join request.
  static let joinTimeout = Duration.seconds(10)
}

/// How the relay is reached.
public enum RelayRoute: Sendable {
  /// By TCP: names or addresses with ports, tried in order, resolved anew each time.
  case servers([(host: String, port: UInt16)])
  /// Within the process, for the relay host itself.
  case local(@Sendable () throws(Errno) -> Descriptor)
}
