import CommandLine
import Config
import Device
import Identity
import Noise
import Relay
import SystemIO
import SystemPackage
import Wire

extension RelayListeners {
  /// Listens where the settings say; by default for IPv6 and IPv4, or for IPv4 alone on a kernel without IPv6.
  static func make(_ settings: Settings.Relay) throws(Failure) -> RelayListeners {
    let usual = Settings.usualListen
    let addresses = try self.addresses(settings.listen.isEmpty ? [usual[0]] : settings.listen)
    do throws(ListenError) {
      return try RelayListeners(on: addresses)
    } catch {
      guard settings.listen.isEmpty, error.errno == .addressFamilyNotSupported else { throw Failure(error) }
    }
    let fallback = try self.addresses([usual[1]])
    do throws(ListenError) {
      return try RelayListeners(on: fallback)
    } catch {
      throw Failure(error)
    }
  }

  private static func addresses(_ places: [ServerAddress]) throws(Failure) -> [SocketAddress] {
    var addresses: [SocketAddress] = []
    for place in places {
      guard let address = SocketAddress(numeric: place.host, port: place.port) else {
        throw Failure(.configuration, "cannot listen on \(place); give an address of this host, not a name")
      }
      addresses.append(address)
    }
    return addresses
  }
}

extension Failure {
  /// An address that cannot be listened on.
  fileprivate init(_ error: RelayListeners.ListenError) {
    let what = "cannot listen on \(error.address)"
    switch error.errno {
    case .addressInUse:
      self.init(
        .cannotCreate,
        "\(what): another program listens there, or another --listen of this one ([::] takes IPv4 too); stop it or "
          + "choose another --listen"
      )
    case .permissionDenied:
      self.init(.noPermission, "\(what): ports below 1024 are for root; choose another --listen")
    case .addressFamilyNotSupported:
      let port = error.address.port
      self.init(
        .cannotCreate,
        "\(what): the kernel of this host has no IPv6; write 0.0.0.0:\(port), or another IPv4 address, to "
          + "relay.listen (--listen), or leave it out")
    default:
      self.init(.cannotCreate, "\(what): \(error.errno)")
    }
  }
}

extension RelayKeys {
  /// The keys in the relay's state directory; the first one is made if there is none.
  convenience init(in directory: StateDirectory) throws(StateError) {
    let current = try KeyFile.relay(in: directory).loadOrCreate { PrivateKey().bytes }
    let former = try FormerKeys(in: directory).load()
    guard let key = PrivateKey(current) else { preconditionFailure("any 32 bytes are a key") }
    self.init(key, former: former.compactMap { PrivateKey($0) })
  }
}

/// Trust of the relay host's device in the relay of the same process.
struct OwnRelay: RelayTrust {
  func expectedKey(of server: String) -> PublicKey? { nil }

  func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool { false }

  func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust) {}
}
