internal import Link
public import Noise
internal import Synchronization
public import SystemIO
public import SystemPackage
public import Tun
public import Wire

/// What happens to a device, for whoever runs it. Told on the device's own thread.
public enum DeviceEvent: Sendable {
  /// So far, at that time.
  case reached(JoinStep, at: Instant)
  /// In, and the interface is up.
  case joined(address: IPv4Address, pool: IPv4Prefix, server: String)
  /// The relay has changed the network while the device is in; its address is the same.
  case networkChanged(pool: IPv4Prefix, pool6: IPv6Prefix?)
  /// Another network of this host has addresses of this one, beginning now; `nil`: none has any more.
  case collided(NetworkCollision?)
  /// No connection; another attempt comes after `retry`.
  case lost(UplinkLoss, retry: Duration)
  /// The relay is about to end: nothing is sent any more, but what comes is taken.
  case draining(server: String)
  /// The relay has told the device to wait until an operator lets it in.
  case pending(server: String)
  /// The relay has proved itself with a key that was not known before; it is from now on.
  case trusted(PublicKey, server: String)
  /// The relay lets the device in with this key from now on.
  case keyReplaced(PublicKey)
  /// The device keeps its key: the relay does not take the new one, or (`nil`) knows the present one, so that a next key
  /// which it must not hear of is of no use.
  case keyKept(Refusal?)
  /// It has been found out where this device sits, or it sits elsewhere now.
  case located(Orchestration.Place)
  /// What has become of peers, in this order. After a connection was lost, those are told of that have come and gone meanwhile.
  case peers([PeerEvent])
  /// Another program has changed the interface, which has this name now, or its IPv6 address has come or gone.
  case interfaceChanged(String)
  /// Something that a person may want to know of.
  case notice(String)
  /// Something that a person should know of.
  case warning(String)
  /// The interface cannot be set up, or does not work any more: the device has stopped.
  case failed(DeviceFailure)
}

public enum DeviceFailure: Error, Sendable {
  case configure(TunError)
  case interface(String, Errno)
  /// Another program has deleted the interface, or moved it to another network namespace.
  case lostInterface(String)
}

/// This host as a device of the network: its uplink, its interface, and the packets between them, on one thread. `start`,
/// `stop`, `apply`, `status`, `ping`, `fetch` and `locate` are for any thread.
public final class Device: @unchecked Sendable {
  // Set once.
  let settings: DeviceSettings
  let events: EventLoop
  let onEvent: @Sendable (DeviceEvent) -> Void

  // Owned by the device's thread once it runs.
  let tun: any PacketDevice
  private lazy var exchange = PeerExchange(
    settings, on: events, onEvent: { [unowned self] in onEvent(.peers([$0])) },
    onWarning: { [unowned self] in onEvent(.warning($0)) })
  private(set) lazy var uplink = Uplink(settings, on: events, delegate: self)
  private(set) var pump: PacketPump?
  var membership: Membership?
  private var joins = 0
  /// How often it had joined when the uplink was lost last.
  private var joinsBeforeLoss = 0
  private var losses: [String: Int] = [:]
  private var lastLoss: String?
  private var lastLossWasAttempt = false
  private var wasTurnedAway = false
  private var lostAt: Instant?
  private var isReading = false
  /// Why the interface has no IPv6 address, as was last told.
  var missingIPv6: MissingIPv6?
  var monitor: NetworkMonitor?
  private(set) lazy var keeper = InterfaceKeeper(tun, on: events) { [unowned self] in take($0) }
  /// The addresses of the network as the relay told them last, where that was, and what they collide with on this host.
  var pools: [HostNetwork.Prefix] = []
  var relayHost: String?
  var currentCollision: NetworkCollision?
  var isCollisionCheckDue = false
  var earliestCollisionCheck = Instant.now()
  private lazy var placeFinder = PlaceFinder(on: events) { [unowned self] in onEvent(.located($0)) }
  private lazy var peerSettings = settings.peers
  private var searches = LabelSearches()
  private var returning = ReturningPeers()

  // Owned by whoever starts and stops.
  private var thread: SystemThread?

  /// `tun` is the device's from now on.
  public init(
    _ settings: DeviceSettings, _ tun: any PacketDevice, _ onEvent: @escaping @Sendable (DeviceEvent) -> Void
  ) throws(Errno) {
    self.settings = settings
    self.tun = tun
    self.onEvent = onEvent
    events = try EventLoop()
  }

  /// Begins to join, on a thread of its own.
  public func start() {
    events.post { [self] in
      watchNetwork()
      uplink.connect()
    }
    thread = SystemThread.start(name: "device") { [events] in events.run() }
  }

  /// Leaves, and ends the thread. Once only. `declining`: the relay is to undo what it has admitted just now.
  public func stop(declining: Bool = false) {
    events.post { [self] in
      uplink.end(declining: declining)
      stopReading()
      monitor?.stop()
      keeper.stop()
      // The interface goes with this process, and its unreachable routes would stay.
      try? tun.clearAddresses()
      events.stop()
    }
    thread?.join()
  }

  /// Moves this device to another key without losing its ID, lease or open connections. An event tells of the end; `reply`
  /// hears at once whether it begins: not while another change is under way. Called on the device's thread.
  public func replaceKey(with key: PrivateKey, _ reply: @escaping @Sendable (Bool) -> Void) {
    events.post { [self] in reply(uplink.replaceKey(with: key)) }
  }

  /// Takes other settings over without touching the connection or a session with a peer that may stay.
  public func apply(_ changes: DeviceChanges) {
    events.post { [self] in
      if let servers = changes.servers { uplink.setServers(servers) }
      if let limit = changes.queueLimit { uplink.setQueueLimit(limit) }
      if let keys = changes.pinnedKeys {
        peerSettings.pinnedKeys = keys
        pump?.pin(keys)
        exchange.retryAll()
      }
      if let limit = changes.peerInformation { exchange.setLimit(limit) }
      if let information = changes.orchestration { exchange.announce(information) }
      keeper.checkNow()
    }
  }

  // MARK: Packets from the interface

  private func startReading() {
    guard !isReading else { return }
    do {
      try tun.register(with: events, handler: self)
      isReading = true
    } catch {
      fail(.interface(tun.name, error))
    }
  }

  /// While there is no uplink, the kernel keeps the latest packets, so that connections go on at once when it is back.
  private func stopReading() {
    guard isReading else { return }
    tun.deregister(from: events)
    isReading = false
  }

  func fail(_ failure: DeviceFailure) {
    uplink.end(declining: joins == 0)
    stopReading()
    monitor?.stop()
    keeper.stop()
    onEvent(.failed(failure))
  }

  // MARK: Names

  /// Who has this label, as `HostLabel` makes it. In a network of which the relay does not tell everything, it is asked, and
  /// has so long to answer. Replies on the device's thread. Of itself, the device does not tell.
  public func locate(label: String, within time: Duration, _ reply: @escaping @Sendable (LocateOutcome) -> Void) {
    events.post { [self] in
      guard HostLabel.isValid(label) else { return reply(.nobody) }
      guard let pump, let connection = uplink.connection, pump.knowsWhoIsThere else { return reply(.unclear) }
      if let peer = pump.peers.peer(ofLabel: label) { return reply(.peer(peer)) }
      guard pump.peers.isPartial else { return reply(.nobody) }
      guard let search = searches.begin(label, at: .now(), reply) else { return }
      if search.isNew { connection.send(control: ControlMessage.locate(.label(label)).frame()) }
      events.schedule(after: time) { [weak self] in self?.searches.giveUp(search.number, label) }
    }
  }

  // MARK: State

  /// Gives the device's state to `reply`, on the device's thread.
  public func status(_ reply: @escaping @Sendable (DeviceStatus) -> Void) {
    events.post { [self] in reply(currentStatus) }
  }

  /// Calls `reply` on the device's thread, when it has its turn: as long as that thread is stuck, never.
  public func prove(_ reply: @escaping @Sendable () -> Void) {
    events.post(reply)
  }

  /// Measures the way to the peer with this address and back, by an echo over the sealed session, and tells `reply`, on the
  /// device's thread, at the latest when `limit` is over.
  public func ping(
    _ address: IPv4Address, within limit: Duration, _ reply: @escaping @Sendable (PingOutcome) -> Void
  ) {
    events.post { [self] in exchange.ping(address, within: limit, reply) }
  }

  /// Measures the way to the relay and back by an echo of now, and tells `reply`, on the device's thread, at the latest when `limit`
  /// is over; `nil`: there is no connection, no answer came in time, or too many ask.
  public func pingRelay(within limit: Duration, _ reply: @escaping @Sendable (Duration?) -> Void) {
    events.post { [self] in uplink.ping(within: limit, reply) }
  }

  /// Asks the peers at these addresses (as many as their information is kept of) for their orchestration information, and gives
  /// the device's state to `reply`, on the device's thread, once all have answered or cannot be reached, or `limit` is over.
  public func fetch(
    _ addresses: [IPv4Address], within limit: Duration, _ reply: @escaping @Sendable (DeviceStatus) -> Void
  ) {
    events.post { [self] in exchange.fetch(addresses, within: limit) { [unowned self] in reply(currentStatus) } }
  }

  /// Those that are there, and those that may be about to be again, by address.
  private var peers: [PeerStatus] {
    let present = pump?.peers.peers ?? [:]
    let links = pump?.links.links ?? [:]
    let absent = returning.peers.values.filter { present[$0.address] == nil }.map { peer in
      var status = exchange.status(of: peer)
      status.isReturning = true
      return status
    }
    let there = present.values.map { peer in
      var status = exchange.status(of: peer)
      status.sessionSince = links[peer.address]?.current?.since
      status.isShakingHands = links[peer.address]?.attempt != nil
      return status
    }
    return (there + absent).sorted { $0.peer.address < $1.peer.address }
  }

  private var currentStatus: DeviceStatus {
    let connection = uplink.connection
    var counters = pump?.counters ?? DeviceCounters()
    counters.messages = exchange.counters
    let sent = connection?.sendStatistics
    return DeviceStatus(
      deviceID: settings.deviceID, interface: tun.name, isJoined: connection != nil, address: membership?.address,
      address6: membership?.address6, pool: membership?.pool, pool6: membership?.pool6,
      relayAddress: membership?.relayAddress, relayVersion: uplink.relayVersion, progress: uplink.progress,
      server: uplink.server, segmentLimit: connection == nil ? nil : uplink.segmentLimit, roundTrip: uplink.roundTrip,
      joins: joins, joinedSince: uplink.joinedSince,
      pendingKey: uplink.pendingKey, losses: losses, lastLoss: lastLoss, lastLossWasAttempt: lastLossWasAttempt,
      wasTurnedAway: wasTurnedAway, lostAt: lostAt, collision: currentCollision?.description,
      orchestration: exchange.own,
      peers: peers,
      isPartial: pump?.peers.isPartial ?? false,
      counters: counters, received: connection?.received ?? FrameConnection.Traffic(),
      sent: sent?.traffic ?? FrameConnection.Traffic(), queue: sent?.queue ?? SendQueueStatistics(),
      totals: uplink.totals, place: placeFinder.place, interfaceProblem: keeper.problem?.description)
  }
}

extension Device: EventHandler {
  public func handle(_ events: Events) {
    guard uplink.connection != nil, let pump else { return }
    do {
      try pump.pump()
    } catch {
      let isLost = (try? interfaceIndex(of: tun.name)) == nil
      fail(isLost ? .lostInterface(tun.name) : .interface(tun.name, error))
    }
  }
}

extension Device: UplinkDelegate {
  func uplinkObjection(to network: NetworkNotice, from host: String?) -> NetworkCollision? {
    let collision = collision(of: HostNetwork.Prefix.pools(network.pool, network.pool6), from: host)
    // A network that this device is in already goes on as it was.
    if collision == nil || uplink.connection == nil {
      pools = HostNetwork.Prefix.pools(network.pool, network.pool6)
      relayHost = host
      note(collision)
    }
    return collision
  }

  func uplinkReached(_ step: JoinStep) {
    onEvent(.reached(step, at: .now()))
  }

  func uplinkJoined(_ welcome: Welcome) {
    uplinkReached(.address(welcome.address, in: welcome.pool))
    guard let new = configure(welcome) else { return }
    uplinkReached(.interface(tun.name))
    joins += 1
    if let way = uplink.way { placeFinder.look(from: way.local, to: way.peer, outer: welcome.outerAddress) }
    if let pump {
      // What has waited in the interface would go to peers that are not back yet: first the relay says who is.
      pump.rejoin(new)
    } else {
      pump = PacketPump(tun, new, peerSettings, on: events) { [unowned self] in onEvent(.warning($0)) }
      pump?.exchange = exchange
      exchange.messenger = pump
      startReading()
    }
    pump?.uplink = uplink.connection
    onEvent(.joined(address: new.address, pool: new.pool, server: uplink.server ?? ""))
  }

  func uplinkRenewed(_ welcome: Welcome, from host: String?) {
    guard let former = membership,
      (former.pool, former.pool6, former.relayAddress) != (welcome.pool, welcome.pool6, welcome.relayAddress)
    else { return }
    if let collision = uplinkObjection(to: welcome.network, from: host) {
      // What has been there goes on: better a network without its new part than none.
      return onEvent(
        .warning("\(collision); this device stays in \(former.pool), as it was, until it has to connect anew"))
    }
    guard let new = configure(welcome) else { return }
    pump?.change(new)
    onEvent(.networkChanged(pool: new.pool, pool6: new.pool6))
  }

  /// Makes interface and membership what a welcome says; `nil` if that has failed, and the device with it.
  private func configure(_ welcome: Welcome) -> Membership? {
    let missing: MissingIPv6?
    do {
      missing = try tun.configure(
        address: welcome.address, in: welcome.pool, and: welcome.pool6, mtu: settings.mtu)
    } catch {
      fail(.configure(error))
      return nil
    }
    note(missing)
    let new = Membership(
      deviceID: settings.deviceID, address: welcome.address, pool: welcome.pool, relayAddress: welcome.relayAddress,
      pool6: welcome.pool6, address6: missing == nil ? welcome.pool6?.address(of: welcome.address) : nil)
    membership = new
    return new
  }

  /// What `pools` collide with on this host, which reaches the relay at the address `host`, unless that is allowed.
  private func collision(of pools: [HostNetwork.Prefix], from host: String?) -> NetworkCollision? {
    do {
      return try findCollision(of: pools, from: host)
    } catch {
      onEvent(.warning("whether the network collides with others of this host cannot be seen: \(error)"))
      return nil
    }
  }

  func findCollision(
    of pools: [HostNetwork.Prefix], from host: String?
  ) throws(TunError) -> NetworkCollision? {
    guard !settings.allowOverlap else { return nil }
    if let place = host.flatMap(HostNetwork.Prefix.init(host:)),
      let collision = NetworkCollision(of: pools, withRelayAt: place)
    {
      return collision
    }
    return NetworkCollision(of: pools, with: try tun.hostNetworks())
  }

  /// Without an uplink, the host may be about to move into a network that has the same addresses: they are not taken away from
  /// it, or there might be no way to the relay any more.
  private func yieldToHost() {
    guard let membership,
      let collision = collision(of: HostNetwork.Prefix.pools(membership.pool, membership.pool6), from: nil)
    else { return }
    do {
      try tun.clearAddresses()
    } catch {
      return fail(.configure(error))
    }
    self.membership = nil
    onEvent(.warning("\(collision); \(tun.name) has no address until that is over"))
  }

  func uplinkReceived(_ message: ControlMessage) {
    switch message {
    case .peers(let update):
      let wasComplete = pump?.knowsWhoIsThere ?? false
      var news: [PeerEvent] = []
      if pump?.update(update, onEvent: { news.append($0) }) == .missedSome {
        uplink.connection?.send(control: ControlMessage.sync.frame())
      }
      let isReturn = !wasComplete && pump?.knowsWhoIsThere == true
      tell(returning.filter(news, isReturn: isReturn))
      if isReturn, !returning.peers.isEmpty { waitForReturn(joins) }
      for peer in searches.isEmpty ? [] : update.joined {
        if let known = pump?.peers.peers[peer.address] { searches.find(known) }
      }
      if pump?.knowsWhoIsThere == true, !uplink.isDraining { startReading() }
    case .unreachable(let sought):
      switch sought {
      case .address(let address):
        pump?.markAbsent(address)
        exchange.isGone(address)
      case .label(let label): searches.markAbsent(label, at: .now())
      }
    default:
      break  // Nothing else is for a device that is in; what a newer relay may add does no harm.
    }
  }

  private func tell(_ news: [PeerEvent]) {
    if !news.isEmpty { onEvent(.peers(news)) }
    exchange.update(news, isComplete: pump?.knowsWhoIsThere ?? false)
  }

  private func waitForReturn(_ join: Int) {
    events.schedule(after: UnlocatedPackets.returnTime) { [weak self] in
      // If the relay was lost again meanwhile, they have more time.
      guard let self, self.joins == join, self.uplink.connection != nil else { return }
      self.tell(self.returning.giveUp())
    }
  }

  func uplinkReceived(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address) {
    pump?.deliver(payload, from: source)
  }

  func uplinkReceived(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    pump?.deliver(handshake: payload, from: source)
  }

  func uplinkIsPending() {
    onEvent(.pending(server: uplink.server ?? ""))
  }

  func uplinkWarns(_ line: String) {
    onEvent(.warning(line))
  }

  func uplinkDrains() {
    stopReading()
    onEvent(.draining(server: uplink.server ?? ""))
  }

  func uplinkPauses() {
    stopReading()
    pump?.uplink = nil
    exchange.pause()
  }

  func uplinkReplacedKey(_ key: PrivateKey) {
    pump?.replaceKey(with: key)
    peerSettings.key = key
    onEvent(.keyReplaced(key.publicKey))
  }

  func uplinkKeptKey(_ refusal: Refusal?) {
    onEvent(.keyKept(refusal))
  }

  func uplinkTrusts(_ key: PublicKey) {
    onEvent(.trusted(key, server: uplink.server ?? ""))
  }

  func uplinkLost(_ reason: UplinkLoss, retry: Duration) {
    stopReading()
    pump?.uplink = nil
    exchange.pause()
    losses[reason.cause, default: 0] += 1
    lastLoss = reason.description
    lastLossWasAttempt = joins == joinsBeforeLoss
    joinsBeforeLoss = joins
    wasTurnedAway = reason.isTurnedAway
    lostAt = .now()
    yieldToHost()
    onEvent(.lost(reason, retry: retry))
  }
}
