import Config
import Control
import Device
import Identity
import Logging
import Program
import Relay
import SystemIO
import SystemPackage
import Tun
import Wire

/// The relay, the device that its host is, and what holds them together.
struct RelayDaemon {
  private let settings: Settings.Relay
  private let daemon: Daemon
  private let relay: Relay
  private let device: Device?
  private let state: StateDirectory

  /// Takes everything that can be refused: the interface, the state directory, the ports, the local socket. Root then
  /// becomes the user that the settings name.
  init(_ all: Settings) throws {
    settings = all.relay
    raiseDescriptorLimit()
    let user = try Self.user(settings.user)
    daemon = try Daemon("mnedcd", level: all.logLevel)
    let tun = settings.device ? try Self.makeTun(settings) : nil
    do {
      state = try StateDirectory(settings.state, for: user)
    } catch {
      throw Failure(error)
    }
    let relay = try Self.makeRelay(settings, daemon.logger)
    self.relay = relay
    let device = try tun.map { [daemon] tun in try Self.makeDevice(all, tun, relay, daemon) }
    self.device = device
    try daemon.listen(at: settings.socket, for: user) { [daemon] command, answer in
      switch command {
      case .status:
        RelayReports.status(daemon, relay, device) { answer(.status($0)) }
      case .peers:
        relay.status { answer(.peers(RelayReports.peers($0))) }
      case .stop:
        preconditionFailure("the daemon sees to that itself")
      }
    }
    if let user { try dropPrivileges(user) }
  }

  /// Serves until told to stop.
  func run() throws {
    relay.start()
    device?.start()
    let places = relay.addresses.map(\.description).joined(separator: ", ")
    daemon.logger.notice("relay for \(settings.pool) at \(places)")
    notifyServiceManager("READY=1\nSTATUS=relay for \(settings.pool) at \(places)")
    try daemon.run {
      device?.stop()
      relay.stop()
    }
  }

  /// Whom root is to become; `nil` if this process stays who it is.
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
      "there is no user \(names.joined(separator: " or ")) on this host; make one (useradd --system \(names[0])), or write "
        + "another to relay.user (root to stay root)")
  }

  private func dropPrivileges(_ user: User) throws {
    do {
      try Privileges.drop(to: user, keeping: device == nil ? [] : [.netAdmin])
    } catch {
      throw Failure(
        .systemError, "\(error); write root to relay.user if this host must not let root become another user")
    }
    daemon.logger.info("this process is now user \(user.name)")
  }

  private static func makeTun(_ settings: Settings.Relay) throws -> LinuxTun {
    do {
      return try LinuxTun(name: settings.interface, offload: settings.offload == .auto)
    } catch {
      var failure = Failure(error)
      if failure.status == .noPermission {
        failure = Failure(.noPermission, "\(failure.message); or relay only, with --no-device")
      }
      throw failure
    }
  }

  private static func makeRelay(_ settings: Settings.Relay, _ logger: Logger) throws -> Relay {
    let threads =
      switch settings.threads {
      case .auto: min(4, usableCores())
      case .count(let count): count
      }
    let listen = try settings.listen.map { place in
      guard let address = SocketAddress(numeric: place.host, port: place.port) else {
        throw Failure(.configuration, "cannot listen on \(place): give an address of this host, not a name")
      }
      return address
    }
    do {
      return try Relay(
        RelaySettings(
          listen: listen, pool: settings.pool, keepalive: settings.keepalive, queueLimit: settings.queue,
          threads: threads),
        logger: logger)
    } catch {
      switch error {
      case .listen(let address, .addressInUse):
        throw Failure(
          .cannotCreate,
          "cannot listen on \(address): another program does, or another --listen ([::] takes IPv4 too); stop it or choose another --listen"
        )
      case .listen(let address, .permissionDenied):
        throw Failure(
          .noPermission, "cannot listen on \(address): ports below 1024 are for root; choose another --listen")
      case .listen(let address, .addressNotAvailable):
        throw Failure(
          .cannotCreate, "cannot listen on \(address): this host has no such address; choose another --listen")
      case .listen(let address, let errno):
        throw Failure(.cannotCreate, "cannot listen on \(address): \(errno)")
      case .system(let errno):
        throw Failure(.systemError, "cannot begin: \(errno)")
      }
    }
  }

  private static func makeDevice(
    _ all: Settings, _ tun: LinuxTun, _ relay: Relay, _ daemon: Daemon
  ) throws -> Device {
    let deviceID = try all.deviceID ?? MachineIdentity.deviceID()
    let settings = DeviceSettings(
      deviceID: deviceID, route: .local { () throws(Errno) in try relay.connectLocally() }, mtu: all.relay.mtu,
      queueLimit: all.relay.queue)
    do {
      return try Device(settings, tun) { event in
        switch event {
        case .joined(let address, _, _):
          daemon.logger.info("this host is \(deviceID) at \(address) (\(all.relay.interface))")
        case .lost(let loss, _):
          daemon.logger.warning("this host's own session has ended: \(loss)")
        case .failed(.configure(let error)):
          daemon.fail(Failure(error))
        case .failed(.interface(let name, let errno)):
          daemon.fail(Failure(.systemError, "the interface \(name) has failed: \(errno); start the daemon again"))
        }
      }
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
  }
}
