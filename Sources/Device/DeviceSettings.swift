public import Noise
public import SystemIO
public import SystemPackage
public import Wire

/// What a device needs to know, as plain values.
public struct DeviceSettings: Sendable {
  public var deviceID: String
  /// This device's key and what concerns sessions with its peers.
  public var peers: PeerSettings
  /// The key that was to take the place of the device's when it ended the last time, if any: the relay may know either.
  public var nextKey: PrivateKey?
  /// Whether to tell a relay that knows the device's key of `nextKey`. If not, `nextKey` is only tried where the relay
  /// refuses the device's key.
  public var offersNextKey = true
  /// By which the device tells its relay from others.
  public var trust: any RelayTrust
  /// The invite's, for a device that the relay does not know yet.
  public var token: Token?
  public var route: RelayRoute
  /// The address to ask the relay for, and nothing else will do; `nil` to take what it gives.
  public var address: IPv4Address?
  /// The interface's MTU in bytes.
  public var mtu: Int
  /// Whether to take part in a network even if it has addresses that mean something else on this host.
  public var allowOverlap = false
  /// Whether the network's pool may have addresses of the Internet (`IPv4Prefix.isPrivate`).
  public var allowPublicPool = false
  /// How many bytes of data may wait for the relay.
  public var queueLimit: Int
  /// Whether the connection to the relay uses BBR on a slow path, where the kernel has it.
  public var choosesCongestionControl = true
  /// What this device tells its peers of itself. Its revision is the first of this start, higher than all of former ones; the
  /// device counts on from there.
  public var orchestration: Orchestration
  /// Of how many peers the orchestration information is kept. In a network of more it is fetched on demand only.
  public var peerInformation = 250

  public init(
    deviceID: String, peers: PeerSettings, nextKey: PrivateKey? = nil, trust: any RelayTrust, token: Token? = nil,
    route: RelayRoute,
    address: IPv4Address? = nil, mtu: Int = 1400, queueLimit: Int = 4 << 20, orchestration: Orchestration? = nil
  ) {
    self.deviceID = deviceID
    self.peers = peers
    self.nextKey = nextKey
    self.trust = trust
    self.token = token
    self.route = route
    self.address = address
    self.mtu = mtu
    self.queueLimit = queueLimit
    self.orchestration = orchestration ?? Orchestration(deviceID: deviceID, revision: 1, platform: currentPlatform)
  }

  /// How long one address of the relay may take to answer before the next is tried.
  static let connectTimeout = Duration.seconds(5)
  /// How long the relay may take to answer a join request.
  static let joinTimeout = Duration.seconds(10)
}

/// What may be changed while a device runs; what is `nil` stays as it is.
public struct DeviceChanges: Sendable {
  /// Where to join, from the next attempt on. Of a device that reaches its relay by TCP.
  public var servers: [(host: String, port: UInt16)]?
  /// How many bytes of data may wait for the relay.
  public var queueLimit: Int?
  /// Keys of peers by device ID. What was agreed on with peers that have others is forgotten.
  public var pinnedKeys: [String: PublicKey]?
  /// What the device tells its peers from now on; its revision does not matter.
  public var orchestration: Orchestration?
  /// Of how many peers the orchestration information is kept.
  public var peerInformation: Int?

  public init(
    servers: [(host: String, port: UInt16)]? = nil, queueLimit: Int? = nil, pinnedKeys: [String: PublicKey]? = nil,
    orchestration: Orchestration? = nil, peerInformation: Int? = nil
  ) {
    self.peerInformation = peerInformation
    self.orchestration = orchestration
    self.servers = servers
    self.queueLimit = queueLimit
    self.pinnedKeys = pinnedKeys
  }
}

/// How the relay is reached.
public enum RelayRoute: Sendable {
  /// By TCP: names or addresses with ports, tried in order, resolved anew each time.
  case servers([(host: String, port: UInt16)])
  /// Within the process, for the relay host itself.
  case local(@Sendable () throws(Errno) -> Descriptor)
}
