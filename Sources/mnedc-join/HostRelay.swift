import CommandLine
import Config
import Control
import SystemIO
import Tun
import Wire

/// The relay that runs on this host and has made it a device of its network.
struct HostRelay {
  private let key: KeyReport
  private let relay: RelayReport
  private let device: DeviceReport

  /// The relay answers at once unless it is stuck.
  private static let patience = Duration.seconds(2)

  /// Asks at the relay's local socket.
  init?(_ settings: Settings) {
    let path = settings.relay.socket
    guard let key: KeyReport = try? ControlClient.ask(.key, at: path, timeout: Self.patience), key.role == .relay,
      let status: StatusReport = try? ControlClient.ask(.status, at: path, timeout: Self.patience),
      let relay = status.relay, let device = status.device
    else { return nil }
    (self.key, self.relay, self.device) = (key, relay, device)
  }

  /// Throws if it is the relay that these settings would join.
  func check(_ settings: Settings) throws(Failure) {
    let isPinned = settings.serverKeys.contains { KeyText.relay.text($0) == key.key }
    guard isPinned || settings.serverKeys.isEmpty && settings.servers.contains(where: isHere) else { return }
    throw Failure(
      .configuration,
      "this host is in that network already: mnedcd runs here, is its relay, and makes the host the device "
        + "\(device.deviceId) at \(device.address ?? relay.address) (\(device.interface)); there is nothing to join")
  }

  /// The error if the relay has this interface.
  func claim(on interface: String) -> String? {
    guard device.interface == interface else { return nil }
    return "mnedcd runs here and has the interface \(interface), as this host is the device \(device.deviceId) of the "
      + "relay's own network; to be in another network too, choose another name (--interface)"
  }

  /// Whether the server is this host, at a port of the relay.
  private func isHere(_ server: ServerAddress) -> Bool {
    let ports = relay.listen.compactMap { $0.split(separator: ":").last.flatMap { UInt16($0) } }
    return ports.contains(server.port) && Self.isThisHost(server)
  }

  // MARK: A relay whose local socket is not known

  /// The error about an interface name in use, if the relay that these settings would join may have the interface.
  static func claim(on interface: String, _ settings: Settings) -> String? {
    guard let server = settings.servers.first(where: isThisHost) else { return nil }
    return
      "there is an interface \(interface) already, and the relay \(server) is this host itself: if mnedcd made it, "
      + "this host is in its network already, and there is nothing to join; else choose another name (--interface)"
  }

  /// The error if the network collides with itself: this host is its relay, and has the first address of the pool.
  static func claim(behind collision: NetworkCollision, _ settings: Settings) -> String? {
    guard let server = settings.servers.first(where: isThisHost), case .ipv4(let pool) = collision.pool,
      let network = collision.network, network.prefix == collision.pool, let interface = network.interface,
      case .address(let address) = network.origin, address == IPv4Address(bits: pool.network.bits + 1).description
    else { return nil }
    return "this host is in that network already: it is the relay \(server), and so the device at \(address) "
      + "(\(interface)); there is nothing to join"
  }

  private static func isThisHost(_ server: ServerAddress) -> Bool {
    if server.host == "localhost" || server.host == hostName() { return true }
    guard let address = SocketAddress(numeric: server.host, port: server.port) else { return false }
    return HostAddresses.include(address)
  }
}
