import Admission
import CommandLine
import Config
import Control
import DaemonKit
import Device
import DeviceHost
import Identity
import Logging
import Noise
import Relay
import Store
import SystemIO
import SystemPackage
import Tun
import Wire

/// The relay, its host as a device, and their wiring. Owned by the main thread.
final class RelayDaemon {
  // Set once.
  private let settings: Settings.Relay
  private let allowsPublicPool: Bool
  private let daemon: Daemon
  private let state: StateDirectory
  private let commands: RelayCommands
  private let store: SQLiteStore
  private let relay: Relay
  private let host: HostDevice?

  /// Opens everything that the system can refuse: the interface, the state directory, the ports, the local socket.
  /// Then, before there is another thread, root becomes the user of the settings, and that user opens the rest.
  ///
  /// `reread` gives the settings of a daemon started now. `mayMakeKey`: whether a relay whose devices know a lost key
  /// may get a new one.
  init(
    _ all: Settings, mayMakeKey: Bool = false,
    access: HostAccess = HostAccess(),
    reread: @escaping () throws -> Settings
  ) throws {
    settings = all.relay
    allowsPublicPool = all.join.allowPublicPool
    raiseDescriptorLimit()
    let user = try Self.user(settings.user)
    daemon = try Daemon("mnedcd", level: all.logLevel)
    try Daemon.checkIsFirst(at: settings.socket)
    let tun = settings.device ? try Self.makeTun(settings, access) : nil
    // A killed mnedcd may have been a device.
    if tun == nil { LinuxTun.removeStaleRoutes() }
    do {
      state = try StateDirectory(settings.state, for: user)
    } catch {
      throw Failure(error)
    }
    let listeners = try RelayListeners.make(settings)
    for address in listeners.awaited {
      daemon.warnLater(
        "this host does not have the address \(address.host) yet, so devices can connect at \(address) once it has; "
          + "if that is a mistake, correct relay.listen (--listen)")
    }
    let names = NameService(all.join, interface: settings.interface, daemon)
    names.removeStaleBlocks()
    try daemon.listen(at: settings.socket, for: user)
    daemon.serveMetrics(at: all.metrics.listen)
    let kept = tun == nil ? [] : NameService.capabilities(all.join).union([.netAdmin])
    try Self.dropPrivileges(user, keeping: kept, access, daemon)
    do {
      store = try SQLiteStore(directory: state.path) { [logger = daemon.logger] health in
        switch health {
        case .failing(let error):
          logger.warning("writing fails, so the relay admits no new device and changes nothing else: \(error)")
        case .working(let path): logger.notice("writing \(path) works again")
        }
      }
    } catch {
      throw Failure(error)
    }
    let keys = try Self.keys(in: state, store, mayBeNew: mayMakeKey, daemon)
    try Self.checkPool(all)
    let network = try Self.settleNetwork(settings, store, daemon.logger)
    let relay = try Self.makeRelay(settings, keys, store, network, listeners, daemon.logger)
    self.relay = relay
    let hostIdentity =
      tun == nil ? nil : try Self.hostIdentity(in: state, configured: all.deviceID, store, daemon)
    if let tun, let hostIdentity {
      if !all.join.allowOverlap { try Self.checkOverlap(of: relay, tun, isKnown: hostIdentity.hasJoined) }
      var own = DeviceSettings(
        deviceID: hostIdentity.deviceID, peers: PeerSettings(key: hostIdentity.key, all.join), trust: OwnRelay(),
        route: .local { () throws(Errno) in try relay.connectLocally() })
      own.mtu = settings.mtu
      own.queueLimit = settings.queue
      own.hasJoined = hostIdentity.hasJoined
      host = try HostDevice(own, tun, all.join, in: state, names, daemon)
    } else {
      host = nil
    }
    commands = RelayCommands(settings, daemon, state, relay, store, host, hostID: hostIdentity?.deviceID)
    // The relay and its host are one process, so most events add nothing.
    host?.onEvent = { [daemon, unowned commands, weak host, settings] event in
      switch event {
      case .joined(let address, _, _):
        try? hostIdentity?.remember()
        daemon.logger.info("this host is \(hostIdentity?.deviceID ?? "") at \(address) (\(settings.interface))")
      case .collided(let collision): host?.log(collision)
      case .collisionEnded(let collision): host?.logEnd(of: collision)
      case .peers: commands.noticeChanges()
      case .lost(let loss, _): daemon.logger.warning("this host's own session has ended: \(loss)")
      default: break
      }
    }
    daemon.serve(Reloading(.relay, inForce: all, read: reread) { [unowned self] in apply(&$0) }) {
      [unowned commands] command, answer in
      commands.carryOut(command, answer)
    } metrics: { [unowned commands] peerLimit, reply in
      commands.metrics(peerLimit: peerLimit, reply)
    }
  }

  /// Throws if devices would refuse the pool, unless the configuration allows it.
  static func checkPool(_ all: Settings) throws(Failure) {
    guard case .prefix(let pool) = all.relay.pool, !all.join.allowPublicPool, let problem = poolProblem(pool) else {
      return
    }
    throw Failure(.configuration, "\(problem); choose another --pool, or set that key here too")
  }

  /// Applies the settings that may change while the relay runs. Restores the pool if it cannot be applied.
  private func apply(_ all: inout Settings) {
    growPool(&all.relay.pool)
    relay.apply(RelaySettings.Reloadable(all.relay))
    host?.apply(all.join) { $0.queueLimit = all.relay.queue }
    commands.settings = all.relay
  }

  /// Makes the pool larger, and waits for the disk. A pool that does not contain the present one needs a restart.
  private func growPool(_ setting: inout Settings.Pool) {
    guard setting != commands.settings.pool else { return }
    if case .prefix(let prefix) = setting, !allowsPublicPool, let problem = Self.poolProblem(prefix) {
      daemon.logger.error("the pool stays as it is: \(problem)")
      setting = commands.settings.pool
      return
    }
    guard case .prefix(let prefix) = setting, let outcome = try? PendingValue<Result<Void, PoolError>>() else {
      setting = commands.settings.pool
      return
    }
    relay.growPool(to: prefix) { outcome.put($0) }
    switch outcome.wait(until: Instant.now().advanced(by: Self.growthTimeout)) {
    case .success: break
    case .failure(.notLarger): setting = commands.settings.pool
    case .failure(let error):
      daemon.logger.error("the pool stays as it is: \(error)")
      setting = commands.settings.pool
    case nil:
      daemon.logger.error(
        "the disk takes too long to record the larger pool, which may still happen; reload again to see")
      setting = commands.settings.pool
    }
  }

  private static func poolProblem(_ pool: IPv4Prefix) -> String? {
    pool.objectionAsPool.map {
      "the pool \(pool) \($0); devices join only if their configurations set join.allow-public-pool"
    }
  }

  /// The disk's time to record a larger pool.
  private static let growthTimeout = Duration.seconds(3)

  /// Serves until told to stop.
  func run() throws {
    relay.start()
    host?.start()
    let places = relay.addresses.map(\.description).joined(separator: ", ")
    let pool = relay.network.pool.prefix
    daemon.logger.notice("relay for \(pool) at \(places), key \(relay.publicKey.fingerprint)")
    if settings.listen.isEmpty, !relay.addresses.contains(where: \.isIPv6) {
      daemon.logger.notice("the kernel of this host has no IPv6, so the relay listens for IPv4 alone")
    }
    let status = { @Sendable (online: Int) in "relay for \(pool) at \(places), devices online: \(online)" }
    daemon.becomeReady(status(0))
    daemon.prove { [relay, host, commands] done in
      let (isDraining, device) = (commands.isDraining, host?.device)
      relay.prove { online in
        let finish = { @Sendable in done(isDraining ? nil : status(online)) }
        if let device { device.prove(finish) } else { finish() }
      }
    }
    try daemon.run {
      host?.stop()
      relay.stop()
      store.close()
    }
  }

  /// Loads the relay's keys. Does not replace a lost key silently, since every device refuses a relay with an unknown
  /// key.
  private static func keys(
    in state: StateDirectory, _ store: SQLiteStore, mayBeNew: Bool, _ daemon: Daemon
  ) throws(Failure) -> RelayKeys {
    let file = KeyFile.relay(in: state)
    do {
      if try file.load() == nil {
        let (devices, invites) = try store.readAndWait { records throws(StoreError) in
          let now = UnixTime.now()
          return (
            try records.devices().count { $0.status == .active && $0.admittedBy != .host },
            try records.invites().count { $0.state(at: now) == .usable }
          )
        }
        if devices + invites > 0 {
          let known = [(devices, "device"), (invites, "open invite")].filter { $0.0 > 0 }.map(Table.count)
          let loss = "\(file.path) is missing, and relay.db has \(known.joined(separator: " and ")) for that key"
          guard mayBeNew else {
            throw Failure(
              .noInput,
              "\(loss); restore it from a backup; or start mnedcd once with --new-key, which makes a new key, then "
                + "tell that to every device by hand and replace every invite")
          }
          daemon.warnLater(
            "\(loss); each device refuses the relay's new key until its server-key or known-relays names it; the "
              + "invites name the old key, so revoke them (mnedc-ctl uninvite) and make new ones")
        }
      }
      return try RelayKeys(in: state)
    } catch let error as StateError {
      throw Failure(error)
    } catch let error as StoreError {
      throw Failure(error)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(.software, "\(error)")
    }
  }

  /// The user that root becomes; `nil` if the process keeps its user.
  private static func user(_ setting: Settings.User) throws -> User? {
    guard currentUser() == 0, setting != .named("root") else { return nil }
    let names =
      switch setting {
      case .auto: ["mnedc", "nobody"]
      case .named(let name): [name]
      }
    do {
      for name in names {
        if let user = try User(named: name) { return user.id == 0 ? nil : user }
      }
    } catch {
      throw Failure(.systemError, "cannot look the user \(names[0]) up: \(error)")
    }
    throw Failure(
      .configuration,
      "there is no user \(names.joined(separator: " or ")) on this host; make one (useradd --system \(names[0])), or "
        + "write another to relay.user (root to stay root)")
  }

  /// Drops privileges also without root: the file or the service manager can give capabilities to another user.
  private static func dropPrivileges(
    _ user: User?, keeping kept: Set<Capability>, _ access: HostAccess, _ daemon: Daemon
  ) throws {
    guard let user else {
      guard currentUser() != 0 else { return }
      do {
        return try access.keepOnly(kept)
      } catch {
        throw Failure(error)
      }
    }
    do {
      try Privileges.drop(to: user, keeping: kept)
    } catch {
      throw Failure(
        .systemError, "\(error); write root to relay.user if this host must not let root become another user")
    }
    daemon.logger.info("this process is now user \(user.name)")
  }

  private static func makeTun(
    _ settings: Settings.Relay, _ access: HostAccess
  ) throws -> any PacketDevice {
    do {
      return try access.makeInterface(settings.interface, settings.offload == .auto)
    } catch {
      var failure = Failure(error)
      if failure.status == .noPermission {
        failure = Failure(.noPermission, "\(failure.message); or relay only, with --no-device")
      }
      throw failure
    }
  }

  private static func settleNetwork(
    _ settings: Settings.Relay, _ store: SQLiteStore, _ logger: Logger
  ) throws -> RelayNetwork {
    let pool: RelayNetwork.PoolChoice
    do {
      pool = try RelayNetwork.PoolChoice(settings.pool)
    } catch {
      throw Failure(error)
    }
    do {
      let (network, notices) = try RelayNetwork.settle(
        in: store, pool: pool, pool6: settings.pool6,
        fixed: settings.addresses)
      for notice in notices { logger.warning("\(notice)") }
      return network
    } catch {
      throw
        switch error
      {
      case .store(let error): Failure(error)
      case .noPool: Failure(.temporaryFailure, error.description)
      case .notForHosts, .ofRelay: Failure(.configuration, error.description)
      }
    }
  }

  private static func makeRelay(
    _ settings: Settings.Relay, _ keys: RelayKeys, _ store: SQLiteStore, _ network: RelayNetwork,
    _ listeners: RelayListeners, _ logger: Logger
  ) throws -> Relay {
    let (threads, sharedLoop) =
      switch settings.threads {
      case .auto: (min(4, usableCores()), 8)
      case .count(let count): (count, 0)
      }
    var relaySettings = RelaySettings(keys: keys, store: store, network: network)
    relaySettings.reloadable = RelaySettings.Reloadable(settings)
    relaySettings.leaseAge = settings.leaseAge
    relaySettings.peerList = settings.peerList
    relaySettings.memory = settings.memory
    relaySettings.connections = RelaySettings.connections(descriptors: descriptorLimit())
    relaySettings.threads = threads
    relaySettings.sharedLoop = sharedLoop
    relaySettings.choosesCongestionControl = settings.congestionControl == .auto
    relaySettings.version = suiteVersion
    do {
      return try Relay(relaySettings, listeners, logger: logger)
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
  }

  /// Throws if the network has addresses of another network of this host. `isKnown`: it had them before.
  private static func checkOverlap(of relay: Relay, _ tun: any PacketDevice, isKnown: Bool) throws(Failure) {
    let networks: [HostNetwork]
    do {
      networks = try tun.hostNetworks()
    } catch {
      throw Failure(error)
    }
    let pools = HostNetwork.Prefix.pools(relay.network.pool.prefix, relay.network.pool6)
    guard let collision = NetworkCollision(of: pools, with: networks, isKnown: isKnown) else { return }
    // The other network may have ended by the next start.
    throw Failure(
      .temporaryFailure,
      "\(collision); choose another --pool (relay.pool: auto finds one), relay only (--no-device), or allow it with "
        + "join.allow-overlap")
  }

  /// The host's identity as a device. It keeps its ID in its own network: `device-id` of a file that mnedcd and
  /// mnedc-join share may be the ID for another network.
  private static func hostIdentity(
    in state: StateDirectory, configured: String?, _ store: SQLiteStore, _ daemon: Daemon
  ) throws -> DeviceIdentity {
    let identity = try DeviceIdentity(in: state, configured: configured, warn: daemon.warnLater)
    let key = identity.key.publicKey.bytes
    let known: DeviceRecord?
    do {
      known = try store.readAndWait { records throws(StoreError) in try records.device(key: key)?.device }
    } catch {
      throw Failure(error)
    }
    guard let known, known.status == .active, known.id != identity.deviceID else { return identity }
    daemon.logger.warning(
      """
      this host stays \(known.id) in its own network, though the configuration says device-id \(identity.deviceID); \
      for that to hold, run mnedc-ctl forget \(known.id) and start mnedcd anew
      """)
    return try DeviceIdentity(in: state, configured: known.id, warn: daemon.warnLater)
  }
}

extension RelayNetwork.PoolChoice {
  fileprivate init(_ setting: Settings.Pool) throws(TunError) {
    switch setting {
    case .auto:
      self = .auto(
        avoiding: try HostNetworks.list().compactMap { network in
          if case .ipv4(let prefix) = network.prefix { prefix } else { nil }
        })
    case .prefix(let prefix):
      self = .prefix(prefix)
    }
  }
}

extension RelaySettings.Reloadable {
  /// From the configuration, at the start and at a reload.
  fileprivate init(_ settings: Settings.Relay) {
    self.init()
    admission = settings.admission
    keepalive = settings.keepalive
    idleKeepalive = settings.idleKeepalive
    queueLimit = settings.queue
  }
}

extension Failure {
  /// A store that cannot be used.
  fileprivate init(_ error: StoreError) {
    let status: ExitStatus =
      switch error {
      case .noAccess, .notOurs: .noPermission
      case .inUse: .cannotCreate
      case .damaged, .newerSchema: .noInput
      default: .systemError
      }
    self.init(status, error.description)
  }
}
