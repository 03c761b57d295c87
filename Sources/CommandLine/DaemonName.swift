internal import ArgumentParser
public import Config

/// Which of a host's daemons is meant, as `--of` says it.
public enum DaemonName: Equatable, Sendable, CustomStringConvertible {
  case relay
  case device
  /// The device that `mnedc-join --name` keeps in one of several networks.
  case network(NetworkName)

  private static let socketPrefix = "mnedc-join@"
  private static let socketSuffix = ".sock"

  /// `nil` unless it is `relay`, `device` or what `mnedc-join --name` takes.
  public init?(_ text: String) {
    switch text {
    case "relay": self = .relay
    case "device": self = .device
    default:
      guard let name = NetworkName(text) else { return nil }
      self = .network(name)
    }
  }

  /// Of the network whose daemon has a socket of that name in the suite's directory; `nil` if it is none's.
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

  /// The unit that systemd starts it by.
  var unit: String {
    switch self {
    case .relay: "mnedcd.service"
    case .device: "mnedc-join.service"
    case .network(let name): "mnedc-join@\(name).service"
    }
  }

  /// Where it is asked, by the configuration `settings`.
  func socket(_ settings: Settings) -> String {
    switch self {
    case .relay: settings.relay.socket
    case .device: settings.join.socket
    case .network(let name): name.socket
    }
  }
}
