internal import SystemIO
internal import SystemPackage

/// systemd-resolved, which asks this device's server for the network's names once it is told of it. Owned by the main thread.
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
  private let events: EventLoop
  private let path: String

  // Owned by the main thread.
  /// The interface's name now.
  var interface: String
  private var process: ChildProcess?

  private static let directory = "/run/systemd/resolve"
  /// Where it answers programs, since systemd 246. Whether somebody answers there is asked, since the file outlives the service.
  private static let socket = "\(directory)/io.systemd.Resolve"
  private static let timeout = Duration.seconds(10)
  /// What changes when it is started, stopped, or told something, and what says whether programs ask it. Only a reason to look.
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
    self.events = events
    path = environmentVariable("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin"
  }

  private static var presence: Presence {
    do {
      _ = try Descriptor.connected(toUnix: socket)
      return .runs
    } catch {
      switch error {
      case .noSuchFileOrDirectory: return (try? exists(directory)) == true ? .unknown : .isAbsent
      case .connectionRefused: return .isAbsent
      // There is somebody, who has much to do or does not talk to this user.
      default: return .runs
      }
    }
  }

  /// Has it ask the servers at these addresses for names in `domains`; it forgets that by itself when the interface goes. `done` is
  /// called on the main thread, at once if it does not run.
  func tell(_ servers: [String], _ domains: [String], _ done: @escaping (Outcome) -> Void) {
    let presence = Self.presence
    guard presence != .isAbsent else { return done(.absent("systemd-resolved does not run")) }
    run(["dns", interface] + servers) { [weak self] why in
      guard let self else { return }
      if let why { return done(Self.outcome(presence, ["dns", self.interface] + servers, why)) }
      self.run(["domain", self.interface] + domains) { why in
        guard let why else { return done(.told) }
        done(Self.outcome(presence, ["domain", self.interface] + domains, why))
      }
    }
  }

  private static func outcome(_ presence: Presence, _ command: [String], _ why: String) -> Outcome {
    presence == .runs ? .failed(command, why) : .absent("systemd-resolved does not answer (\(why))")
  }

  func stop() { process?.kill() }

  /// Calls `next` with what went wrong, if something did.
  private func run(_ arguments: [String], then next: @escaping (String?) -> Void) {
    var environment = ["PATH": path, "LC_ALL": "C"]
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = environmentVariable("DBUS_SYSTEM_BUS_ADDRESS")
    let command = ChildProcess.Command(
      "resolvectl", arguments, environment: environment, outputLimit: 1000, timeout: Self.timeout)
    do {
      process = try ChildProcess(command, on: events) { [weak self] outcome in
        self?.process = nil
        next(outcome.end == .exited(0) ? nil : Self.text(outcome))
      }
    } catch {
      next(error == .noSuchFileOrDirectory ? "resolvectl is not installed" : "resolvectl: \(error)")
    }
  }

  private static func text(_ outcome: ChildProcess.Outcome) -> String {
    let line = outcome.output.prefix { $0 != UInt8(ascii: "\n") }.filter { (0x20...0x7E).contains($0) }
    switch outcome.end {
    case .exited where !line.isEmpty: return String(decoding: line, as: UTF8.self)
    case .exited(let status): return "resolvectl ended with status \(status)"
    case .signalled(let signal): return "resolvectl was ended by signal \(signal)"
    case .timedOut, .killed: return "resolvectl took too long"
    }
  }
}
