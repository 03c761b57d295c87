public import Config
internal import Control
internal import SystemIO
internal import SystemPackage

/// Where a daemon is asked.
public struct DaemonPlace: Sendable, Equatable {
  /// `nil` of one that was named by its socket.
  public let name: DaemonName?
  public let path: String

  /// What is said of a socket that nobody answers at.
  enum Presence: Equatable {
    case answers
    case missing(Errno)
  }

  /// More networks than that are not looked for.
  private static let maximumNetworks = 64

  /// Where daemons of this host may be: the device's place first, then the relay's, then those of named networks, which are looked
  /// for.
  static func all(_ settings: Settings) -> [DaemonPlace] {
    var places: [DaemonPlace] = []
    for name in [.device, .relay] + networks() {
      let path = name.socket(settings)
      if !places.contains(where: { $0.path == path }) { places.append(DaemonPlace(name: name, path: path)) }
    }
    return places
  }

  /// The interfaces of the daemons that run here, as far as they answer soon.
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

  /// Whether a daemon is there. A socket that may not be opened, or at which too many ask, has one; a file that a killed
  /// process has left has none.
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
