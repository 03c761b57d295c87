internal import Link
public import Store
public import Wire

/// What a relay needs to know, as plain values.
public struct RelaySettings: Sendable {
  /// By which the relay proves who it is.
  public var keys: RelayKeys
  /// Who has been admitted, and which invites there are.
  public var store: SQLiteStore
  public var admission: AdmissionMode
  /// The network that it serves at first.
  public var network: RelayNetwork
  /// How long a device must have been away before another may get its address, in a pool that is full.
  public var leaseAge: Duration
  /// After this silence of a connection in use, either end asks for an echo; within three of them it is found dead.
  public var keepalive: Duration
  /// What the silence may grow to while no data goes over the connection.
  public var idleKeepalive: Duration
  /// How many bytes of data may wait for one destination.
  public var queueLimit: Int
  /// Whether connections to devices use BBR on a slow path, where the kernel has it.
  public var choosesCongestionControl = true
  /// The program's, which devices are told; `nil`: they are not.
  public var version: String?
  /// How many threads share the sessions.
  public var threads: Int
  /// Up to so many connections are left to the first of them.
  public var sharedLoop = 0
  /// In a network of more devices than this, everybody is told only of those that it asks for.
  public var peerList: Int
  /// How many connections of one thread may be about to join at once.
  public var maximumUnauthenticated = 4096
  /// How long devices have to come back after a start, before a lease is taken away for want of use: as long as they may wait
  /// between two attempts.
  public var returnTime = Duration.seconds(30)
  /// How many bytes all that waits for destinations may take.
  public var memory: Int
  /// How many connections there may be at once.
  public var connections: Int

  public init(
    keys: RelayKeys, store: SQLiteStore, admission: AdmissionMode, network: RelayNetwork, leaseAge: Duration,
    keepalive: Duration, idleKeepalive: Duration, queueLimit: Int, threads: Int, peerList: Int = 1000,
    memory: Int = 256 << 20, connections: Int = .max
  ) {
    self.keys = keys
    self.store = store
    self.admission = admission
    self.network = network
    self.leaseAge = leaseAge
    self.keepalive = keepalive
    self.idleKeepalive = idleKeepalive
    self.queueLimit = queueLimit
    self.threads = threads
    self.peerList = peerList
    self.memory = memory
    self.connections = connections
  }

  /// How many connections a process takes that may have so many descriptors: the rest is for what else it opens, foremost the
  /// local socket, which must answer when all are in use.
  public static func connections(descriptors: Int) -> Int {
    max(1, descriptors - min(descriptors / 2, 256))
  }

  /// How often it is noted who is in.
  var seenInterval: Duration { min(max(leaseAge / 4, .seconds(60)), .seconds(3600)) }

  /// A connection that has not joined by then is closed.
  static let handshakeTimeout = Duration.seconds(10)
  /// How long a device may take to decline its first lease, so that its admission is undone.
  static let declineTime = Duration.seconds(60)
  /// How a device that waits for an operator is asked for echoes: it may be silent for a minute.
  static let pendingTerms = KeepaliveTerms(base: .seconds(20))
  /// How many strangers make room at once when there is no place for further connections, and how long each may take first.
  static let evictedAtOnce = 16
  static let patience = Duration.seconds(1)
  /// How long an older session has to prove that it lives before another one with its device ID takes its place.
  static let proofTimeout = Duration.seconds(2)
  /// How many control, ping and pong frames a joined device may send, and one that has not joined. A device of a large
  /// network asks for `Sought.maximumWatched` peers at once.
  static let controlRate = ControlRate(perSecond: 500, burst: 2000)
  static let controlRateBeforeJoin = ControlRate(perSecond: 10, burst: 50)
  /// After how many milliseconds a device that has sent more may connect again.
  static let floodRetry = 60_000
}
