internal import Link
public import Noise
internal import Synchronization
public import SystemIO
public import SystemPackage
public import Tun
public import Wire

/// What happens to a device, for whoever runs it. Told on the device's own thread.
public enum DeviceEvent: Sendable {
  /// In, and the interface is up.
  case joined(address: IPv4Address, pool: IPv4Prefix, server: String)
  /// No connection; another attempt comes after `retry`.
  case lost(UplinkLoss, retry: Duration)
  /// The relay has told the device to wait until an operator lets it in.
  case pending(server: String)
  /// The relay has proved itself with a key that was not known before; it is from now on.
  case trusted(PublicKey, server: String)
  /// The relay lets the device in with this key from now on.
  case keyReplaced(PublicKey)
  /// The relay does not take the new key, and the device keeps its own.
  case keyKept(Refusal)
  /// Something that a person should know of.
  case warning(String)
  /// The interface cannot be set up, or does not work any more: the device has stopped.
  case failed(DeviceFailure)
}

public enum DeviceFailure: Error, Sendable {
  case configure(TunError)
  case interface(String, Errno)
}

/// This host as a device of the network: its uplink, its interface, and the packets between them, on one thread. `start`,
/// `stop` and `status` are for any thread.
public final class Device: @unchecked Sendable {
  // Set once.
  private let settings: DeviceSettings
  private let events: EventLoop
  private let onEvent: @Sendable (DeviceEvent) -> Void

  // Owned by the device's thread once it runs.
  private let tun: any PacketDevice
  private lazy var uplink = Uplink(settings, on: events, delegate: self)
  private var pump: PacketPump?
  private var membership: Membership?
  private var joins = 0
  private var lastLoss: String?
  private var isReading = false
  /// `nil` for the relay's own host, whose connection leaves no process.
  private var monitor: NetworkMonitor?
  private lazy var peerSettings = settings.peers

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

  /// Leaves, and ends the thread. Once only.
  public func stop() {
    events.post { [self] in
      uplink.end()
      stopReading()
      monitor?.stop()
      events.stop()
    }
    thread?.join()
  }

  /// Notices when the way to the relay may have changed.
  private func watchNetwork() {
    guard case .servers = settings.route else { return }
    do {
      uplink.pathFinder = try PathFinder()
      monitor = try NetworkMonitor(on: events, ignoring: try? interfaceIndex(of: tun.name)) { [unowned self] change in
        uplink.networkChanged(change)
      }
    } catch {
      onEvent(
        .warning("changes of this host's network cannot be watched (\(error)), so that a lost way is noticed later"))
    }
  }

  /// Moves this device to another key without losing its ID, lease or open connections. An event tells of the end; `reply`
  /// hears at once whether it begins: not while another change is under way. Called on the device's thread.
  public func replaceKey(with key: PrivateKey, _ reply: @escaping @Sendable (Bool) -> Void) {
    events.post { [self] in reply(uplink.replaceKey(with: key)) }
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

  private func fail(_ failure: DeviceFailure) {
    uplink.end()
    stopReading()
    onEvent(.failed(failure))
  }

  // MARK: State

  /// Gives the device's state to `reply`, on the device's thread.
  public func status(_ reply: @escaping @Sendable (DeviceStatus) -> Void) {
    events.post { [self] in reply(currentStatus) }
  }

  private var currentStatus: DeviceStatus {
    let connection = uplink.connection
    let sent = connection?.sendStatistics
    return DeviceStatus(
      deviceID: settings.deviceID, interface: tun.name, isJoined: connection != nil, address: membership?.address,
      pool: membership?.pool, relayAddress: membership?.relayAddress, progress: uplink.progress,
      server: uplink.server,
      roundTrip: uplink.roundTrip, joins: joins, lastLoss: lastLoss,
      peers: (pump?.peers.peers.values.map { $0 } ?? []).sorted { $0.address < $1.address },
      counters: pump?.counters ?? DeviceCounters(), received: connection?.received ?? FrameConnection.Traffic(),
      sent: sent?.traffic ?? FrameConnection.Traffic(), queue: sent?.queue ?? SendQueueStatistics())
  }
}

extension Device: EventHandler {
  public func handle(_ events: Events) {
    guard uplink.connection != nil, let pump else { return }
    do {
      try pump.pump()
    } catch {
      fail(.interface(tun.name, error))
    }
  }
}

extension Device: UplinkDelegate {
  func uplinkJoined(_ welcome: Welcome) {
    let new = Membership(
      deviceID: settings.deviceID, address: welcome.address, pool: welcome.pool, relayAddress: welcome.relayAddress)
    do {
      try tun.configure(address: new.address, in: new.pool, mtu: settings.mtu)
    } catch {
      return fail(.configure(error))
    }
    membership = new
    joins += 1
    if let pump {
      // What has waited in the interface would go to peers that are not back yet: first the relay says who is.
      pump.rejoin(new)
    } else {
      pump = PacketPump(tun, new, peerSettings, on: events) { [unowned self] in onEvent(.warning($0)) }
      startReading()
    }
    pump?.uplink = uplink.connection
    onEvent(.joined(address: new.address, pool: new.pool, server: uplink.server ?? ""))
  }

  func uplinkReceived(_ message: ControlMessage) {
    switch message {
    case .peers(let update):
      if pump?.update(update) == .missedSome { uplink.connection?.send(control: ControlMessage.sync.frame()) }
      if pump?.knowsWhoIsThere == true { startReading() }
    case .unreachable(let notice):
      pump?.markAbsent(notice.address)
    default:
      break  // Nothing else is for a device that is in; what a newer relay may add does no harm.
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

  func uplinkPauses() {
    stopReading()
    pump?.uplink = nil
  }

  func uplinkReplacedKey(_ key: PrivateKey) {
    pump?.replaceKey(with: key)
    peerSettings.key = key
    onEvent(.keyReplaced(key.publicKey))
  }

  func uplinkKeptKey(_ refusal: Refusal) {
    onEvent(.keyKept(refusal))
  }

  func uplinkTrusts(_ key: PublicKey) {
    onEvent(.trusted(key, server: uplink.server ?? ""))
  }

  func uplinkLost(_ reason: UplinkLoss, retry: Duration) {
    stopReading()
    pump?.uplink = nil
    lastLoss = reason.description
    onEvent(.lost(reason, retry: retry))
  }
}
