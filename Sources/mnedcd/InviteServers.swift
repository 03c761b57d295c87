import Config
import Control
import SystemIO
import Tun
import Wire

/// The relay's addresses in an invite.
enum InviteServers {
  /// The `wanted` ones; else those of `relay.public-address`; else the addresses on which the relay can be reached.
  static func servers(
    _ wanted: [String], _ settings: Settings.Relay, listening: [SocketAddress], outside pools: [HostNetwork.Prefix]
  ) throws(ControlError) -> [String] {
    guard wanted.isEmpty else { return try wanted.map { text throws(ControlError) in try parse(text).description } }
    let servers = settings.publicAddresses.isEmpty ? found(listening, outside: pools) : settings.publicAddresses
    guard !servers.isEmpty else {
      throw ControlError(
        .failed,
        "this host has no address that devices elsewhere could connect to, as far as it can tell; name one with "
          + "--server HOST:PORT, or write it to relay.public-address in the configuration")
    }
    return servers.map(\.description)
  }

  private static func parse(_ text: String) throws(ControlError) -> ServerAddress {
    do {
      return try ServerAddress(parsing: text)
    } catch {
      throw ControlError(.badRequest, error.message)
    }
  }

  /// The addresses that the relay listens on; if it listens on all, those of the host that others can reach.
  private static func found(_ listening: [SocketAddress], outside pools: [HostNetwork.Prefix]) -> [ServerAddress] {
    var servers: [ServerAddress] = []
    func add(_ host: String, _ port: UInt16) {
      let server = ServerAddress(host: host, port: port)
      // Nobody can use the relay's virtual addresses before joining.
      let isVirtual = HostNetwork.Prefix(host: host).map { place in pools.contains(where: place.overlaps) } ?? false
      if !isVirtual, !servers.contains(server) { servers.append(server) }
    }
    for place in listening {
      guard place.host == "::" || place.host == "0.0.0.0" else {
        add(place.host, place.port)
        continue
      }
      for address in HostAddresses.reachable() where place.isIPv6 || !address.isIPv6 { add(address.host, place.port) }
    }
    return Array(servers.prefix(InviteText.maximumServers))
  }

  static func text(_ key: [UInt8], _ token: [UInt8], _ servers: [String]) throws(ControlError) -> InviteText {
    do {
      return try InviteText(relayKey: key, token: token, servers: servers)
    } catch {
      throw ControlError(
        .failed,
        "these servers do not fit into an invite, which takes \(InviteText.maximumServers) of them and "
          + "\(InviteText.maximumLength) characters in all; name fewer")
    }
  }
}
