internal import Link
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
    events.post { self.uplink.connect() }
    thread = SystemThread.start(name: "device") { [events] in events.run() }
  }

  /// Leaves, and ends the thread. Once only.
  public func stop() {
    events.post { [self] in
      uplink.end()
      stopReading()
      events.stop()
    }
    thread?.join()
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
    guard let connection = uplink.connection, let pump else { return }
    do {
      try pump.pump(to: connection)
    } catch {
      fail(.interface(tun.name, error))
    }
  }
}

extension Device: UplinkDelegate {
  func uplinkJoined(_ welcome: Welcome) {
    let new = Membership(address: welcome.address, pool: welcome.pool, relayAddress: welcome.relayAddress)
    do {
      try tun.configure(address: new.address, in: new.pool, mtu: settings.mtu)
    } catch {
      return fail(.configure(error))
    }
    membership = new
    joins += 1
    if let pump { pump.rejoin(new) } else { pump = PacketPump(tun, new) }
    startReading()
    onEvent(.joined(address: new.address, pool: new.pool, server: uplink.server ?? ""))
  }

  func uplinkReceived(_ message: ControlMessage) {
    switch message {
    case .peers(let update):
      if pump?.update(update) == .missedSome { uplink.connection?.send(control: ControlMessage.sync.frame()) }
    case .unreachable(let notice):
      pump?.markAbsent(notice.address)
    default:
      break  // Nothing else is for a device that is in; what a newer relay may add does no harm.
    }
  }

  func uplinkReceived(_ payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    pump?.deliver(payload, from: source)
  }

  func uplinkLost(_ reason: UplinkLoss, retry: Duration) {
    stopReading()
    lastLoss = reason.description
    onEvent(.lost(reason, retry: retry))
  }
}
