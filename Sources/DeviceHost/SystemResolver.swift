internal import SystemIO
internal import SystemPackage

/// systemd-resolved, which asks this device's server for the network's names once it is told of it. Owned by the main
/// thread.
final class SystemResolver {
  /// What came of telling it.
  enum Outcome {
    case told
    /// It does not run; why that is clear.
    case absent(String)
    /// It runs and does not take it: what was run in vain, and why.
    case failed([String], String)
  }

  // Set once.
  private let tool: SystemTool

  // Owned by the main thread.
  /// The interface's name now.
  var interface: String

  private static let directory = "/run/systemd/resolve"
  /// Where it answers programs, since systemd 246. Whether somebody answers there is asked, since the file outlives the
  /// service.
  private static let socket = "\(directory)/io.systemd.Resolve"
  /// What changes when it is started, stopped, or told something, and what says whether programs ask it. Only a reason
  /// to look.
  static let traces = [
    "/etc/resolv.conf", "/etc/nsswitch.conf", "\(directory)/resolv.conf", "\(directory)/stub-resolv.conf", socket,
  ]

  private enum Presence {
    case runs
    case isAbsent
    /// One that is too old for the socket: the attempt to tell it shows.
    case unknown
  }

  init(interface: String, on events: EventLoop) {
    self.interface = interface
    tool = SystemTool("resolvectl", on: events)
  }

  private static var presence: Presence {
    do {
      _ = try Descriptor.connected(toUnix: socket)
      return .runs
    } catch {
      switch error {
      case .noSuchFileOrDirectory: return (try? exists(directory)) == true ? .unknown : .isAbsent
      case .connectionRefused: return .isAbsent
      // It runs, but is busy or does not talk to this user.
      default: return .runs
      }
    }
  }

  /// Has it ask the servers at these addresses for names in `domains`; it forgets that by itself when the interface
  /// goes. `done` is called on the main thread, at once if it does not run.
  func tell(_ servers: [String], _ domains: [String], _ done: @escaping (Outcome) -> Void) {
    let presence = Self.presence
    guard presence != .isAbsent else { return done(.absent("systemd-resolved does not run")) }
    tool.run(["dns", interface] + servers) { [weak self] why in
      guard let self else { return }
      if let why { return done(Self.outcome(presence, ["dns", self.interface] + servers, why)) }
      self.tool.run(["domain", self.interface] + domains) { why in
        guard let why else { return done(.told) }
        done(Self.outcome(presence, ["domain", self.interface] + domains, why))
      }
    }
  }

  private static func outcome(_ presence: Presence, _ command: [String], _ why: String) -> Outcome {
    presence == .runs ? .failed(command, why) : .absent("systemd-resolved does not answer (\(why))")
  }

  func stop() { tool.stop() }
}
