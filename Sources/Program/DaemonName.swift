internal import ArgumentParser
internal import Config
internal import Control

/// Which of a host's daemons is meant, as `--of` says it.
public enum DaemonName: Hashable, Sendable, CustomStringConvertible {
  case relay
  case device
  /// The device that `mnedc-join --name` keeps in one of several networks.
  case network(String)

  private static let maximumLength = 64
  private static let socketPrefix = "mnedc-join@"
  private static let socketSuffix = ".sock"

  /// `nil` unless it is `relay`, `device` or a network's name: small letters, digits and hyphens.
  public init?(_ text: String) {
    switch text {
    case "relay": self = .relay
    case "device": self = .device
    default:
      let isName = text.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || byte == UInt8(ascii: "-")
      }
      guard isName, (1...Self.maximumLength).contains(text.utf8.count) else { return nil }
      self = .network(text)
    }
  }

  /// Of the network whose daemon has a socket of that name in the suite's directory; `nil` if it is none's.
  init?(socketName: String) {
    guard socketName.hasPrefix(Self.socketPrefix), socketName.hasSuffix(Self.socketSuffix) else { return nil }
    let name = String(socketName.dropFirst(Self.socketPrefix.count).dropLast(Self.socketSuffix.count))
    guard case .network(let name)? = Self(name) else { return nil }
    self = .network(name)
  }

  /// For an option's `transform`.
  public static func option(_ text: String) throws -> DaemonName {
    guard let name = Self(text) else {
      throw ValidationError("relay, device, or what mnedc-join --name was told: small letters, digits and hyphens")
    }
    return name
  }

  public var description: String {
    switch self {
    case .relay: "relay"
    case .device: "device"
    case .network(let name): name
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

  /// Where it is asked, by the configuration `settings`.
  func socket(_ settings: Settings) -> String {
    switch self {
    case .relay: settings.relay.socket
    case .device: settings.join.socket
    case .network(let name): "\(ControlServer.directory)/\(Self.socketPrefix)\(name)\(Self.socketSuffix)"
    }
  }
}
