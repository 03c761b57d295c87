internal import SystemIO
internal import SystemPackage

/// Tells systemd-resolved to ask this device's server for the network's names. Owned by the main thread.
final class SystemResolver {
  enum Outcome {
    case told
    /// It does not run, for this reason.
    case absent(String)
    /// It runs, but this command failed, for this reason.
    case failed([String], String)
  }

  // Set once.
  private let tool: SystemTool

  // Owned by the main thread.
  var interface: String

  private static let directory = "/run/systemd/resolve"
  /// Its socket since systemd 246. The file outlives the service, so a connection shows whether it runs.
  private static let socket = "\(directory)/io.systemd.Resolve"
  /// Files that change when it starts, stops or is told something, and that say whether programs ask it.
  static let traces = [
    "/etc/resolv.conf", "/etc/nsswitch.conf", "\(directory)/resolv.conf", "\(directory)/stub-resolv.conf", socket,
  ]

  private enum Presence {
    case runs
    case isAbsent
    /// Too old for the socket: only the attempt to configure it shows whether it runs.
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
      // It runs, but is busy or refuses this user.
      default: return .runs
      }
    }
  }

  /// Configures it to ask the servers at these addresses for names in `domains`, until the interface is gone. Calls
  /// `done` on the main thread, at once if it does not run.
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

/// Runs a program of the system, such as resolvectl. Owned by the loop's thread.
final class SystemTool {
  // Set once.
  private let name: String
  private let events: EventLoop
  private let environment: [String: String]

  // Owned by the loop's thread.
  private var process: ChildProcess?

  private static let timeout = Duration.seconds(10)

  init(_ name: String, on events: EventLoop) {
    self.name = name
    self.events = events
    var environment = ["PATH": environmentVariable("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = environmentVariable("DBUS_SYSTEM_BUS_ADDRESS")
    self.environment = environment
  }

  var isRunning: Bool { process != nil }

  /// Runs it, once at a time, and calls `next` on the loop's thread with the error, or `nil`.
  func run(_ arguments: [String], then next: @escaping (String?) -> Void) {
    precondition(!isRunning, "one run of \(name) at a time")
    let command = ChildProcess.Command(
      name, arguments, environment: environment, outputLimit: 1000, timeout: Self.timeout)
    do {
      process = try ChildProcess(command, on: events) { [weak self] outcome in
        guard let self else { return }
        self.process = nil
        next(outcome.end == .exited(0) ? nil : self.text(outcome))
      }
    } catch {
      next(error == .noSuchFileOrDirectory ? "\(name) is not installed" : "\(name): \(error)")
    }
  }

  func stop() { process?.kill() }

  private func text(_ outcome: ChildProcess.Outcome) -> String {
    let line = outcome.output.prefix { $0 != UInt8(ascii: "\n") }.filter { (0x20...0x7E).contains($0) }
    switch outcome.end {
    case .exited where !line.isEmpty: return String(decoding: line, as: UTF8.self)
    case .exited(let status): return "\(name) ended with status \(status)"
    case .signalled(let signal): return "\(name) was ended by signal \(signal)"
    case .timedOut, .killed: return "\(name) took too long"
    }
  }
}

/// Looks names up as every program of this host does, on threads, with a deadline. Owned by the loop's thread.
final class NameLookup {
  /// The numeric addresses, or why there are none.
  typealias Outcome = Result<[String], Failed>

  struct Failed: Error {
    let why: String
  }

  // Set once.
  private let events: EventLoop

  /// Look-ups whose thread waits for the system's resolver, which can take longer than the deadline.
  private var running = 0

  private static let maximum = 4
  private static let patience = Duration.seconds(5)

  init(on events: EventLoop) {
    self.events = events
  }

  /// Calls `done` on the loop's thread, once.
  func look(up name: String, _ done: @escaping (Outcome) -> Void) {
    let late = Outcome.failure(Failed(why: "has no answer within \(Int(Self.patience.seconds)) s"))
    guard running < Self.maximum else { return done(late) }
    running += 1
    let call = Call(done)
    events.schedule(after: Self.patience) { call.end(late) }
    let finish = LoopBound { [weak self] (outcome: Outcome) in
      self?.running -= 1
      call.end(outcome)
    }
    SystemThread.detach(name: "name-lookup") { [events] in
      let outcome = Resolver.addresses(of: name).map { $0.map(\.host) }.mapError { Failed(why: "is not found (\($0))") }
      events.post { finish.value(outcome) }
    }
  }

  private final class Call {
    private var done: ((Outcome) -> Void)?

    init(_ done: @escaping (Outcome) -> Void) { self.done = done }

    func end(_ outcome: Outcome) { done.take()?(outcome) }
  }
}
