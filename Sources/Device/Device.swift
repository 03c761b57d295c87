// The device's parts, all on one thread:
//
//   Uplink          the connection to the relay, made anew for as long as it takes
//   Neighbourhood   what the relay has told: own addresses, peers
//   PeerLinks       sealed sessions with peers
//   PacketPump      packets between the TUN and the sessions
//   PeerExchange    messages between devices, over the same sessions
//   DirectPaths     connections to peers without the relay
//
// The parts know only those that they use. What they report comes here: `Device+Relay.swift` has what the uplink
// reports, `Device+Interface.swift` what changes on this host.

internal import Link
public import Noise
public import SystemIO
public import SystemPackage
public import Tun
public import Wire

/// This host as a device of the network. All public functions may be called from any thread, and reply on the device's.
public final class Device: @unchecked Sendable {
  // Set once.
  let settings: DeviceSettings
  let events: EventLoop
  let onEvent: @Sendable (DeviceEvent) -> Void

  // `@unchecked`: owned by the device's thread once it runs.
  let tun: any PacketDevice
  let neighbourhood: Neighbourhood
  let links: PeerLinks
  private(set) lazy var exchange = PeerExchange(
    settings, neighbourhood, links, on: events, onEvent: { [unowned self] in onEvent(.peers([$0])) },
    onWarning: { [unowned self] in onEvent(.warning($0)) })
  private(set) lazy var pump = PacketPump(tun, neighbourhood, links, exchange, on: events) { [unowned self] in
    onEvent(.warning($0))
  }
  private(set) lazy var uplink = Uplink(settings, on: events, device: self)
  private(set) lazy var keeper = InterfaceKeeper(tun, on: events) { [unowned self] in take($0) }
  private(set) lazy var locator = Locator(on: events) { [unowned self] in onEvent(.located($0)) }
  /// `nil` where they are off.
  private(set) var direct: DirectPaths?
  private var pathNotices = RateLimit(perSecond: 1, burst: 10)
  /// Peers about whose standing the relay has been asked, by their keys.
  var unanswered: [PublicKey: PeerState] = [:]
  var monitor: NetworkMonitor?
  private var isReading = false
  var joins = 0
  var losses = LossHistory()
  /// Why the interface has no IPv6 address, as last reported.
  var missingIPv6: MissingIPv6?
  /// The network's addresses as the relay told them last, the relay's own address then, and the collision with networks
  /// of this host.
  var pools: [HostNetwork.Prefix] = []
  var relayHost: String?
  var currentCollision: NetworkCollision?
  var isCollisionCheckDue = false
  var earliestCollisionCheck = Instant.now()

  // Owned by the thread that starts and stops the device.
  private var thread: SystemThread?

  /// Takes over `tun`.
  public init(
    _ settings: DeviceSettings, _ tun: any PacketDevice, _ onEvent: @escaping @Sendable (DeviceEvent) -> Void
  ) throws(Errno) {
    self.settings = settings
    self.tun = tun
    self.onEvent = onEvent
    events = try EventLoop()
    neighbourhood = Neighbourhood(deviceID: settings.deviceID)
    links = PeerLinks(settings.peers, neighbourhood, on: events)
    neighbourhood.takesPackets = false
  }

  /// Begins to join, on a thread of its own.
  public func start() {
    events.post { [self] in
      watchNetwork()
      startDirectPaths()
      uplink.connect()
    }
    thread = SystemThread.start(name: "device") { [events] in events.run() }
  }

  /// Packets to a peer take another path; `loss` says why they leave a direct one.
  private func pathHasChanged(to state: PeerState, _ loss: String?) {
    updateReading()
    if pathNotices.allow(at: .now()) {
      if let remote = state.path.remote {
        onEvent(.notice("packets to \(state.peer.deviceID) take a direct path, to \(remote)"))
      } else if let loss {
        onEvent(.notice("packets to \(state.peer.deviceID) take the relay again: \(loss)"))
      }
    }
    if !state.path.isDirect { dismiss(state) }
  }

  private func startDirectPaths() {
    guard let direct = settings.direct else { return }
    let paths = DirectPaths(
      self, maximumOffline: direct.maximumOffline, publicKey: { [unowned self] in uplink.key.publicKey },
      onChange: { [unowned self] in pathHasChanged(to: $0, $1) })
    do {
      try paths.start(port: direct.port)
    } catch {
      return onEvent(
        .warning(
          "there are no direct paths to peers, because this device cannot listen on TCP port \(direct.port): \(error); "
            + "all packets go by way of the relay; see join.direct-port in mnedc.yaml(5)"))
    }
    self.direct = paths
    pump.direct = paths
    exchange.onCandidates = { [unowned paths] in paths.take($0, from: $1) }
  }

  /// Leaves, and ends the thread; to be called once. `declining`: the relay is to undo the admission of just now.
  public func stop(declining: Bool = false) {
    events.post { [self] in
      end(declining: declining)
      // The interface goes with this process, and its unreachable routes would stay.
      try? tun.clearAddresses()
      events.stop()
    }
    thread?.join()
  }

  /// The device cannot go on.
  func fail(_ failure: DeviceFailure) {
    end(declining: joins == 0)
    onEvent(.failed(failure))
  }

  private func end(declining: Bool) {
    direct?.stop()
    uplink.end(declining: declining)
    neighbourhood.relay.connection = nil
    updateReading()
    monitor?.stop()
    keeper.stop()
  }

  /// Applies what `change` sets without touching the connection or a session with a peer that may stay.
  public func apply(_ change: (inout DeviceChanges) -> Void) {
    var changes = DeviceChanges()
    change(&changes)
    events.post { [self, changes] in
      if let servers = changes.servers { uplink.setServers(servers) }
      if let limit = changes.queueLimit { uplink.setQueueLimit(limit) }
      if let keys = changes.pinnedKeys {
        links.pin(keys)
        exchange.retryAll()
      }
      if let limit = changes.peerInformation { exchange.setLimit(limit) }
      if let information = changes.orchestration { exchange.announce(information) }
      keeper.checkNow()
    }
  }

  /// Moves this device to another key without losing its ID, lease or open connections; an event reports the outcome.
  /// Replies at once whether it begins: not while another change is under way.
  public func replaceKey(with key: PrivateKey, _ reply: @escaping @Sendable (Bool) -> Void) {
    events.post { [self] in reply(uplink.replaceKey(with: key)) }
  }

  // MARK: Packets from the interface

  /// Whether packets may go by way of the relay. On a new connection they wait until the relay has listed the peers:
  /// packets for peers known before would go to devices that are not back yet.
  private var relayTakesPackets: Bool {
    neighbourhood.relay.connection != nil && !uplink.isDraining
      && (neighbourhood.isComplete || neighbourhood.listedCount == 0)
  }

  /// Whether packets may be read from the TUN: while any path takes them. If not, the kernel keeps the latest, so that
  /// connections go on at once afterwards.
  private var mayRead: Bool {
    neighbourhood.takesPackets || neighbourhood.membership != nil && direct?.isInUse == true
  }

  /// Starts or ends reading. To be called when a part of `mayRead` may have changed.
  func updateReading() {
    if relayTakesPackets != neighbourhood.takesPackets {
      neighbourhood.takesPackets.toggle()
      if neighbourhood.takesPackets { pump.sendWaiting() }
    }
    guard mayRead != isReading else { return }
    isReading.toggle()
    guard isReading else { return tun.deregister(from: events) }
    do {
      try tun.register(with: events, handler: self)
    } catch {
      isReading = false
      fail(.interface(tun.name, error))
    }
  }

  // MARK: Questions

  /// Gives the device's state to `reply`.
  public func status(_ reply: @escaping @Sendable (DeviceStatus) -> Void) {
    events.post { [self] in reply(currentStatus) }
  }

  /// Calls `reply` in the thread's next turn, which shows that the thread is not stuck.
  public func prove(_ reply: @escaping @Sendable () -> Void) {
    events.post(reply)
  }

  /// Measures the round trip to the peer with this address, by an echo over the sealed session. Replies within `limit`.
  public func ping(
    _ address: IPv4Address, within limit: Duration, _ reply: @escaping @Sendable (PingOutcome) -> Void
  ) {
    events.post { [self] in exchange.ping(address, within: limit, reply) }
  }

  /// Measures the round trip to the relay by an echo. Replies within `limit`; `nil`: there is no connection, no answer
  /// came in time, or too many pings are under way.
  public func pingRelay(within limit: Duration, _ reply: @escaping @Sendable (Duration?) -> Void) {
    events.post { [self] in uplink.ping(within: limit, reply) }
  }

  /// Asks the peers at these addresses (as many as their information is kept of) for their orchestration information.
  /// Gives the device's state to `reply` once all have answered or cannot be reached, or after `limit`.
  public func fetch(
    _ addresses: [IPv4Address], within limit: Duration, _ reply: @escaping @Sendable (DeviceStatus) -> Void
  ) {
    events.post { [self] in exchange.fetch(addresses, within: limit) { [unowned self] in reply(currentStatus) } }
  }

  /// Finds the peer with this label, as `HostLabel` makes it; never this device itself. In a network of which the relay
  /// does not tell everything, the relay is asked, and has `time` to answer.
  public func locate(label: String, within time: Duration, _ reply: @escaping @Sendable (LocateOutcome) -> Void) {
    events.post { [self] in
      guard HostLabel.isValid(label) else { return reply(.nobody) }
      guard let connection = uplink.connection, neighbourhood.isComplete else { return reply(.unclear) }
      if let state = neighbourhood.listed(label: label) { return reply(.peer(state.peer)) }
      guard neighbourhood.isPartial else { return reply(.nobody) }
      guard let search = neighbourhood.searches.begin(label, at: .now(), reply) else { return }
      if search.isNew { connection.send(control: ControlMessage.locate(.label(label)).frame()) }
      events.schedule(after: time) { [weak self] in self?.neighbourhood.searches.giveUp(search.number, label) }
    }
  }
}

extension Device: EventHandler {
  /// The TUN has packets.
  public func handle(_ events: Events) {
    guard isReading else { return }
    do {
      try pump.pump()
    } catch {
      let isLost = (try? interfaceIndex(of: tun.name)) == nil
      fail(isLost ? .lostInterface(tun.name) : .interface(tun.name, error))
    }
  }
}
