public import Noise
public import SystemIO
public import SystemPackage
public import Wire

/// What a device needs to know, as plain values.
public struct DeviceSettings: Sendable {
  public var deviceID: String
  public var peers: PeerSettings
  /// The key of an unfinished change, if any: the relay may know either.
  public var nextKey: PrivateKey?
  /// Whether to offer `nextKey` to a relay that knows the device's key. If not, `nextKey` is only tried where the relay
  /// refuses the device's key.
  public var offersNextKey = true
  public var trust: any RelayTrust
  /// The invite's, for a device that the relay does not know yet.
  public var token: Token?
  public var route: RelayRoute
  /// The only address to accept from the relay; `nil`: any.
  public var address: IPv4Address?
  /// In bytes.
  public var mtu = 1400
  /// Whether to join a network whose addresses other networks of this host use.
  public var allowOverlap = false
  /// Whether a relay has admitted this device before, so that a route to more than the pool does not keep it out.
  public var hasJoined = false
  /// Whether the network's pool may have addresses of the Internet (`IPv4Prefix.isPrivate`).
  public var allowPublicPool = false
  /// How many bytes of data may wait for the relay.
  public var queueLimit = 4 << 20
  /// Whether the connection to the relay uses BBR on a slow path, where the kernel has it.
  public var choosesCongestionControl = true
  /// What this device tells its peers of itself. Its revision is higher than all that former processes used; the device
  /// counts on from there.
  public var orchestration: Orchestration
  /// Of how many peers the orchestration information is kept. In a larger network it is fetched on demand only.
  public var peerInformation = 250
  /// Direct paths to peers; `nil`: all packets go by way of the relay.
  public var direct: DirectSettings?

  public init(deviceID: String, peers: PeerSettings, trust: any RelayTrust, route: RelayRoute) {
    self.deviceID = deviceID
    self.peers = peers
    self.trust = trust
    self.route = route
    orchestration = Orchestration(deviceID: deviceID, revision: 1, platform: currentPlatform)
  }

  /// How long one address of the relay may take to answer before the next is tried.
  static let connectTimeout = Duration.seconds(5)
  /// How long the relay may take to answer a join request.
  static let joinTimeout = Duration.seconds(10)
}

/// Settings of direct paths to peers.
public struct DirectSettings: Sendable {
  /// The TCP port for connections of peers; 0: one that the kernel chooses.
  public var port: UInt16
  /// How long direct paths go on without a connection to the relay, which might have revoked a peer meanwhile.
  public var maximumOffline: Duration

  public init(port: UInt16 = 0, maximumOffline: Duration = .seconds(86_400)) {
    self.port = port
    self.maximumOffline = maximumOffline
  }
}

/// The settings that may change while a device runs; `nil`: no change.
public struct DeviceChanges: Sendable {
  /// Where to join, from the next attempt on; for a device that reaches its relay by TCP.
  public var servers: [(host: String, port: UInt16)]?
  public var queueLimit: Int?
  /// Keys of peers by device ID. Sessions with peers that have other keys end.
  public var pinnedKeys: [String: PublicKey]?
  /// What the device tells its peers of itself; its revision does not matter.
  public var orchestration: Orchestration?
  public var peerInformation: Int?
}

/// How the relay is reached.
public enum RelayRoute: Sendable {
  /// By TCP: names or addresses with ports, tried in order, resolved anew each time.
  case servers([(host: String, port: UInt16)])
  /// Within the process, for the relay host itself.
  case local(@Sendable () throws(Errno) -> Descriptor)
}

/// How a device recognizes its relay: by a pinned key, or by the key that the relay had the first time. Called on the
/// device's thread; may read and write small files.
public protocol RelayTrust: Sendable {
  /// The key that the relay with this name in the config (`host:port`) should have; `nil` if it was never met.
  func expectedKey(of server: String) -> PublicKey?

  /// Decides about the key that a relay has proved. True: the relay was met for the first time, and its key is kept.
  func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool

  /// The relay, which has proved the key `old`, announces that it will have `new`.
  func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust)
}

/// Why a relay is not trusted: one line that says what to do.
public struct RelayDistrust: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) {
    self.description = description
  }
}

/// Settings of the sessions with peers.
public struct PeerSettings: Sendable {
  /// This device's own.
  public var key: PrivateKey
  /// In any order; AES-256-GCM is used where both ends have it.
  public var ciphers: CipherList
  /// Keys that the config pins, by device ID. A peer for which the relay vouches with another key is refused.
  public var pinnedKeys: [String: PublicKey]
  /// A session in use is replaced after this time, or after so many frames sent.
  public var rekeyAfter = Duration.seconds(120)
  public var rekeyFrames: UInt64 = 1 << 32
  /// A session that could not be replaced ends after this time.
  public var expireAfter = Duration.seconds(180)

  public init(key: PrivateKey, ciphers: CipherList = .available, pinnedKeys: [String: PublicKey] = [:]) {
    self.key = key
    self.ciphers = ciphers
    self.pinnedKeys = pinnedKeys
  }

  var checkInterval: Duration { min(rekeyAfter / 8, .seconds(1)) }
}

extension CipherList {
  /// The ciphers that this machine is fast at: AES-256-GCM only where the processor has instructions for it.
  public static var available: CipherList {
    CipherList(CipherSuite.hasAESInstructions ? [.aes256GCM, .chaCha20Poly1305] : [.chaCha20Poly1305])
  }
}
