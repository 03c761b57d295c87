internal import SystemIO
internal import SystemPackage

/// A program of the system that does for this one what it cannot do itself, such as resolvectl. Owned by the loop's
/// thread.
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

  /// Runs it to its end, unless it is running, and calls `next` on the loop's thread with what went wrong, if something
  /// did.
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
