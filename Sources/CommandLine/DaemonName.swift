internal import ArgumentParser
public import Config
internal import Control
internal import SystemIO
internal import SystemPackage

/// One of a host's daemons, as `--of` names it.
public enum DaemonName: Equatable, Sendable, CustomStringConvertible {
  case relay
  case device
  /// The device of `mnedc-join --name`, in one of several networks.
  case network(NetworkName)

  private static let socketPrefix = "mnedc-join@"
  private static let socketSuffix = ".sock"

  /// `nil` unless the text is `relay`, `device` or a network name that `mnedc-join --name` takes.
  public init?(_ text: String) {
    switch text {
    case "relay": self = .relay
    case "device": self = .device
    default:
      guard let name = NetworkName(text) else { return nil }
      self = .network(name)
    }
  }

  /// The network that has a socket of this name in the suite's directory; `nil` for any other name.
  init?(socketName: String) {
    guard socketName.hasPrefix(Self.socketPrefix), socketName.hasSuffix(Self.socketSuffix) else { return nil }
    guard
      let name = NetworkName(String(socketName.dropFirst(Self.socketPrefix.count).dropLast(Self.socketSuffix.count)))
    else { return nil }
    self = .network(name)
  }

  /// For an option's `transform`.
  public static func option(_ text: String) throws -> DaemonName {
    guard let name = Self(text) else { throw ValidationError("relay, device, or what mnedc-join --name was told") }
    return name
  }

  public var description: String {
    switch self {
    case .relay: "relay"
    case .device: "device"
    case .network(let name): "\(name)"
    }
  }

  /// The command that starts the daemon.
  public var program: String {
    switch self {
    case .relay: "mnedcd"
    case .device: "mnedc-join"
    case .network(let name): "mnedc-join --name \(name)"
    }
  }

  /// The daemon's systemd unit.
  var unit: String {
    switch self {
    case .relay: "mnedcd.service"
    case .device: "mnedc-join.service"
    case .network(let name): "mnedc-join@\(name).service"
    }
  }

  /// The daemon's local socket, by these settings.
  func socket(_ settings: Settings) -> String {
    switch self {
    case .relay: settings.relay.socket
    case .device: settings.join.socket
    case .network(let name): name.socket
    }
  }
}

/// The local socket of a daemon.
public struct DaemonAddress: Sendable, Equatable {
  /// `nil` if `--socket` named it.
  public let name: DaemonName?
  public let path: String

  enum Presence: Equatable {
    case answers
    case missing(Errno)
  }

  /// The search for named networks ends here.
  private static let maximumNetworks = 64

  /// The sockets that daemons of this host may have: the device's, the relay's, and those found for named networks.
  static func all(_ settings: Settings) -> [DaemonAddress] {
    var places: [DaemonAddress] = []
    for name in [.device, .relay] + networks() {
      let path = name.socket(settings)
      if !places.contains(where: { $0.path == path }) { places.append(DaemonAddress(name: name, path: path)) }
    }
    return places
  }

  /// The interfaces of the daemons that answer within a second.
  public static func interfaces(_ settings: Settings) -> [String] {
    all(settings).compactMap { place in
      let report: StatusReport? = try? ControlClient.ask(.status, at: place.path, timeout: .seconds(1))
      return report?.device?.interface
    }
  }

  private static func networks() -> [DaemonName] {
    guard let names = try? Directory(ControlServer.directory).names() else { return [] }
    return Array(names.sorted().compactMap { DaemonName(socketName: $0) }.prefix(maximumNetworks))
  }

  /// Whether a daemon listens. One does if this user may not open the socket or its queue is full; a file that a killed
  /// process left has none.
  var presence: Presence {
    do {
      _ = try Descriptor.connected(toUnix: path)
      return .answers
    } catch {
      let isThere = [.permissionDenied, .wouldBlock, .resourceTemporarilyUnavailable].contains(error)
      return isThere ? .answers : .missing(error)
    }
  }
}
