import Config
import Control
import Device
import Identity
import Logging
import Program
import SystemIO
import SystemPackage
import Tun
import Wire

/// The device, and what holds it together. Owned by the main thread; the device tells its events on its own.
final class DeviceDaemon: @unchecked Sendable {
  // Set once.
  private let settings: Settings
  private let deviceID: String
  private let daemon: Daemon
  private let state: StateDirectory

  // Owned by the main thread.
  private var device: Device?
  private var hasJoined = false
  /// The last lease.
  private var address: IPv4Address?
  /// Who waits for the first join; `nil` in the foreground, and once joined.
  private var foreground: Foreground?

  /// Takes everything that can be refused here: the interface, the state directory, the local socket. Then it gives up
  /// every right but that to change the interface.
  init(_ settings: Settings, isInBackground: Bool) throws {
    self.settings = settings
    daemon = try Daemon("mnedc-join", level: settings.logLevel)
    if isInBackground {
      foreground = try Foreground(on: daemon.events) { [daemon] in
        daemon.stop("nobody waits for this device to join any more")
      }
    }
    deviceID = try settings.deviceID ?? MachineIdentity.deviceID()
    let tun: LinuxTun
    do {
      tun = try LinuxTun(name: settings.join.interface, offload: settings.join.offload == .auto)
    } catch {
      throw Failure(error)
    }
    do {
      state = try StateDirectory(settings.join.state)
    } catch {
      throw Failure(error)
    }
    let deviceSettings = DeviceSettings(
      deviceID: deviceID, route: .servers(settings.servers.map { ($0.host, $0.port) }),
      address: settings.join.address, mtu: settings.join.mtu)
    do {
      device = try Device(deviceSettings, tun) { [unowned self] event in
        daemon.events.post { self.handle(event) }
      }
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
    try daemon.listen(at: settings.join.socket) { [unowned self] command, answer in
      switch command {
      case .status:
        let report = daemon.statusReport()
        device?.status { status in
          var report = report
          report.device = DeviceReport(status)
          answer(.status(report))
        }
      case .peers:
        device?.status { answer(.peers(PeersReport($0))) }
      case .stop:
        preconditionFailure("the daemon sees to that itself")
      }
    }
    do {
      try Privileges.keepOnly([.netAdmin])
    } catch {
      throw Failure(error)
    }
  }

  /// Keeps the device joined until told to stop. Throws if the first join fails.
  func run() throws {
    device?.start()
    daemon.events.schedule(after: settings.join.timeout) { self.giveUp() }
    try daemon.run { device?.stop() }
  }

  /// The time for the first join is up.
  private func giveUp() {
    guard !hasJoined else { return }
    let time = ValueKind<Duration>.joinTimeout.text(settings.join.timeout)
    device?.status { [daemon] status in
      let why = status.lastLoss ?? status.progress
      daemon.fail(
        Failure(
          .unavailable,
          "could not join within \(time): \(why); check that --server is right, that mnedcd runs there, and that its "
            + "port is open"))
    }
  }

  private func handle(_ event: DeviceEvent) {
    switch event {
    case .joined(let address, let pool, let server): joined(address, pool, server)
    case .lost(let loss, let retry): lost(loss, retry)
    case .failed(.configure(let error)): daemon.fail(Failure(error))
    case .failed(.interface(let name, let errno)):
      daemon.fail(Failure(.systemError, "the interface \(name) has failed: \(errno); start the program again"))
    }
  }

  private func joined(_ address: IPv4Address, _ pool: IPv4Prefix, _ server: String) {
    if let former = self.address, former != address {
      daemon.logger.warning(
        "the relay has given \(former) to another device; this one has \(address) now, and its open connections are lost"
      )
    }
    self.address = address
    let line = "joined \(pool) as \(deviceID) at \(address) through \(server)"
    hasJoined = true
    if let foreground {
      daemon.output.useSystemLog()
      foreground.becomeReady(line)
      self.foreground = nil
    }
    daemon.logger.notice("\(line)")
    notifyServiceManager("READY=1\nSTATUS=\(line)")
  }

  private func lost(_ loss: UplinkLoss, _ retry: Duration) {
    // Before the first join, a relay that says no is the answer; later it may change its mind, or be another.
    if !hasJoined, case .refused(let refusal) = loss, refusal.code != .shuttingDown {
      return daemon.fail(Failure(.unavailable, "the relay does not let this device in: \(refusal.text)"))
    }
    // Who waits in the foreground is told once, if it comes to nothing.
    let level: Logger.Level = foreground == nil ? .warning : .debug
    daemon.logger.log(level: level, "\(loss); trying again in \(Int(retry.milliseconds)) ms")
    notifyServiceManager("STATUS=\(loss)")
  }
}

extension PeersReport {
  fileprivate init(_ status: DeviceStatus) {
    self.init(
      network: status.pool?.description,
      self: status.address.map { Member(address: $0.description, deviceId: status.deviceID) },
      peers: status.peers.map { peer in
        Peer(
          address: peer.address.description, deviceId: peer.deviceID, state: status.isJoined ? .online : .unknown)
      })
  }
}
