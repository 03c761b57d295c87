public import CommandLine
public import Config
public import Control
public import DaemonKit
public import Device
public import Identity
internal import Logging
public import SystemIO
public import Tun

/// The device of this host, with its names, its hook and its announcements, in both daemons. Owned by the main thread.
public final class HostDevice {
  // Set once.
  public let device: Device
  public let names: NameService
  private let daemon: Daemon
  private let orchestration: OwnOrchestration
  private let hook: PeerHook

  // Owned by the main thread.
  /// Gets each event of the device after this class has handled it.
  public var onEvent: (DeviceEvent) -> Void = { _ in }
  /// Gets each change of a peer as a report.
  public var onPeerEvent: (PeerEventReport) -> Void = { _ in }
  private lazy var news = PeerEventReporter { [unowned self] event in
    onPeerEvent(event)
    hook.take(event)
  }

  /// Passes the device's events from its thread to the main thread.
  private final class Inbox: @unchecked Sendable {
    // `@unchecked`: only jobs on the main thread look at it.
    weak var owner: HostDevice?
  }

  /// Completes `settings` from `join` and `state`.
  public init(
    _ settings: DeviceSettings, _ tun: any PacketDevice, _ join: Settings.Join, in state: StateDirectory,
    _ names: NameService, _ daemon: Daemon
  ) throws(Failure) {
    self.names = names
    self.daemon = daemon
    orchestration = OwnOrchestration(
      in: state, deviceID: settings.deviceID, join.orchestration, warn: daemon.warnLater)
    orchestration.onSave = { [daemon] in daemon.noteWriting("what was announced", $0) }
    hook = PeerHook(join.onPeer, interface: tun.name, on: daemon.events, logger: daemon.logger)
    var settings = settings
    settings.orchestration = orchestration.current
    settings.peerInformation = join.peerInformation
    settings.allowOverlap = join.allowOverlap
    settings.allowPublicPool = join.allowPublicPool
    let inbox = Inbox()
    do {
      device = try Device(settings, tun) { [names, daemon] event in
        names.note(event)
        daemon.events.post { inbox.owner?.handle(event) }
      }
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
    inbox.owner = self
  }

  public func start() {
    names.serve(device)
    device.start()
  }

  /// `declining`: the relay is to undo the admission.
  public func stop(declining: Bool = false) {
    hook.stop()
    names.stop()
    device.stop(declining: declining)
  }

  /// Applies a reloaded configuration to the device. `change` adds the changes of one of the daemons alone.
  public func apply(_ join: Settings.Join, _ change: (inout DeviceChanges) -> Void) {
    hook.command = join.onPeer
    names.retry()
    device.apply {
      $0.pinnedKeys = PeerSettings.pinnedKeys(join)
      $0.orchestration = orchestration.reload(join.orchestration)
      $0.peerInformation = join.peerInformation
      change(&$0)
    }
  }

  private func handle(_ event: DeviceEvent) {
    switch event {
    case .joined, .networkChanged: news.networkMayHaveChanged()
    case .peers(let events): news.take(events, status: status)
    case .interfaceChanged(let name): hook.interface = name
    case .located(let place):
      if let new = orchestration.moved(to: place) { device.apply { $0.orchestration = new } }
    case .notice(let line): daemon.logger.notice("\(line)")
    case .warning(let line): daemon.logger.warning("\(line)")
    case .failed(let failure): daemon.fail(Failure(failure))
    default: break
    }
    onEvent(event)
  }

  /// Logs that another network of this host uses addresses of the device's network.
  public func log(_ collision: NetworkCollision) {
    daemon.logger.warning("\(collision): \(collision.effect); \(collision.advice)")
  }

  /// Logs that no other network uses them any more.
  public func logEnd(of collision: NetworkCollision) {
    daemon.logger.notice("the collision is over: no other network of this host uses addresses of \(collision.pool)")
  }

  // MARK: Requests

  /// Gives the device's state to `reply`, on the main thread.
  public func status(_ reply: @escaping (DeviceStatus) -> Void) {
    let reply = LoopBound(reply)
    device.status { [daemon] status in daemon.events.post { reply.value(status) } }
  }

  public func announce(_ order: AnnounceOrder, _ answer: (ControlAnswer) -> Void) {
    answer(orchestration.answer(order) { new in device.apply { $0.orchestration = new } })
  }
}

/// The steps of a start that need privileges. Tests make the interface in memory and keep their privileges.
public struct HostAccess {
  /// Makes the interface of this name, with segmentation offload or not.
  public var makeInterface: (_ name: String, _ offload: Bool) throws(TunError) -> any PacketDevice = {
    name, offload throws(TunError) in
    try LinuxTun(name: name, offload: offload)
  }
  /// Drops all other privileges.
  public var keepOnly: (_ rights: Set<Capability>) throws(PrivilegeError) -> Void = {
    rights throws(PrivilegeError) in
    try Privileges.keepOnly(rights)
  }

  public init() {}
}
