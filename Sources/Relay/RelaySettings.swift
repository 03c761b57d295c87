public import Admission
internal import Link
public import Store
internal import Synchronization
public import Wire

/// What a relay needs, as plain values. Sizes are bytes.
public struct RelaySettings: Sendable {
  public var keys: RelayKeys
  public var store: any NetworkStore
  /// The network at the start.
  public var network: RelayNetwork
  /// How long a device must have been away before another may get its address, in a full pool.
  public var leaseAge = Duration.seconds(30 * 86_400)
  public var reloadable = Reloadable()
  /// Whether connections use BBR on a slow path, where the kernel has it.
  public var choosesCongestionControl = true
  /// The program's version for the devices; `nil`: they do not hear it.
  public var version: String?
  /// How many threads share the sessions.
  public var threads = 1
  /// Up to this number of connections all belong to the first thread.
  public var sharedLoop = 0
  /// In a network of more devices than this, each gets updates only about the peers that it asks for.
  public var peerList = 1000
  /// How many connections of one thread may be unauthenticated at once.
  public var maximumUnauthenticated = 4096
  /// How long after a start no lease is reclaimed: as long as devices may wait between two attempts to connect.
  public var returnTime = Duration.seconds(30)
  /// How much memory all send queues may take together.
  public var memory = 256 << 20
  /// How many connections there may be at once.
  public var connections = Int.max

  public init(keys: RelayKeys, store: any NetworkStore, network: RelayNetwork) {
    self.keys = keys
    self.store = store
    self.network = network
  }

  /// The settings that may change while a relay runs.
  public struct Reloadable: Sendable {
    public var admission = AdmissionMode.invite
    /// After this silence on a connection in use, either end asks for an echo. A dead connection ends within three of
    /// them.
    public var keepalive = Duration.seconds(2)
    /// What the silence may grow to on an idle connection.
    public var idleKeepalive = Duration.seconds(30)
    /// How much data may wait for one destination.
    public var queueLimit = 4 << 20

    public init() {}
  }

  /// How many connections a process with this limit of descriptors accepts. The rest is for its other files, above all
  /// the control socket, which must answer when all connections are in use.
  public static func connections(descriptors: Int) -> Int {
    max(1, descriptors - min(descriptors / 2, 256))
  }

  /// How often the store learns which devices are connected.
  var seenInterval: Duration { min(max(leaseAge / 4, .seconds(60)), .seconds(3600)) }

  /// The relay closes a connection that has not asked to join by then.
  static let handshakeTimeout = Duration.seconds(10)
  /// How long after its admission a device may decline its first lease, which undoes the admission.
  static let declineTime = Duration.seconds(60)
  /// The keepalive of a device that waits for an operator: it may be silent for a minute.
  static let pendingTerms = KeepaliveTerms(base: .seconds(20))
  /// At the limit of connections: how many unauthenticated ones are closed at once, and how long each may take first.
  static let evictedAtOnce = 16
  static let patience = Duration.seconds(1)
  /// How long an older session has to answer an echo before another one with its device ID replaces it.
  static let proofTimeout = Duration.seconds(2)
  /// How many control, ping and pong frames a device may send after and before it has joined. A device of a large
  /// network asks for `Sought.maximumWatched` peers at once.
  static let controlRate = ControlRate(perSecond: 500, burst: 2000)
  static let controlRateBeforeJoin = ControlRate(perSecond: 10, burst: 50)
  /// After how many milliseconds a device that sent more may connect again.
  static let floodRetry = 60_000

  /// How many handshakes a second a relay on a small machine does beside its other work.
  private static let returnsPerSecond = 2000

  /// After how many milliseconds `count` devices should come back together, so that the relay can serve them. Each
  /// device waits for a random time in the second half of that.
  static func retryAfter(_ count: Int) -> Int {
    min(max(200, count * 2 * 1000 / returnsPerSecond), 30_000)
  }
}

/// The settings in force. For any thread.
final class LiveSettings: Sendable {
  private let current: Mutex<RelaySettings>

  init(_ settings: RelaySettings) {
    current = Mutex(settings)
  }

  var now: RelaySettings { current.withLock { $0 } }

  func change(_ reloadable: RelaySettings.Reloadable) {
    current.withLock { $0.reloadable = reloadable }
  }
}

extension Relay {
  /// Changes settings without ending a session; devices hear of new keepalives. From any thread.
  public func apply(_ new: RelaySettings.Reloadable) {
    let former = settings.reloadable
    live.change(new)
    admission.setMode(new.admission)
    if new.queueLimit != former.queueLimit {
      for loop in loops { loop.setQueueLimit(new.queueLimit) }
    }
    if (new.keepalive, new.idleKeepalive) != (former.keepalive, former.idleKeepalive) { presence.renewTerms() }
  }
}
