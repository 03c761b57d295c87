public import Control
public import Logging
public import SystemIO
internal import Wire

/// Runs the command of `join.on-peer`, for one event after the other. Owned by the main thread.
public final class PeerHook {
  // Set once.
  private let events: EventLoop
  private let logger: Logger

  /// The program and its arguments; empty: nothing is run.
  public var command: [String] {
    didSet { if command.isEmpty { queue = HookQueue() } }
  }

  /// The interface's name, for the command.
  public var interface: String

  private var queue = HookQueue()
  private var running: ChildProcess?
  private var isStopped = false
  private var failures = RateLimit(perSecond: 1.0 / 60, burst: 1)
  private var droppedBefore = 0

  /// How long the command may take for one event.
  private static let timeout = Duration.seconds(10)
  /// What of its output goes to the log if it fails, in bytes.
  private static let outputLimit = 500

  public init(_ command: [String], interface: String, on events: EventLoop, logger: Logger) {
    self.command = command
    self.interface = interface
    self.events = events
    self.logger = logger
  }

  /// Runs the command for it once it has ended for those before.
  public func take(_ event: PeerEventReport) {
    guard !command.isEmpty, !isStopped, event.peer != nil else { return }
    queue.add(event)
    next()
  }

  /// Ends the command, and runs no other.
  public func stop() {
    isStopped = true
    running?.kill()
    running = nil
  }

  private func next() {
    while running == nil, !isStopped, let program = command.first, let event = queue.next() {
      do {
        running = try ChildProcess(
          ChildProcess.Command(
            program, Array(command.dropFirst()), environment: environment(event), outputLimit: Self.outputLimit,
            timeout: Self.timeout),
          on: events
        ) { [weak self] outcome in self?.ended(outcome, program) }
      } catch {
        warn("\(program), which join.on-peer names, cannot be run: \(error)")
      }
    }
  }

  private func ended(_ outcome: ChildProcess.Outcome, _ program: String) {
    running = nil
    let what: String? =
      switch outcome.end {
      case .exited(0): nil
      case .exited(let status): "has ended with status \(status)"
      case .signalled(let signal): "was ended by signal \(signal)"
      case .timedOut: "was not done within \(Int(Self.timeout.seconds)) s and was killed"
      case .killed: nil
      }
    if let what {
      let words = outcome.output.isEmpty ? "" : ": \(String(decoding: outcome.output, as: UTF8.self))"
      warn("\(program), which join.on-peer names, \(what)\(words)")
    }
    if queue.dropped > droppedBefore {
      let count = queue.dropped - droppedBefore
      if warn("\(program), which join.on-peer names, is too slow: \(count) events were left out") {
        droppedBefore = queue.dropped
      }
    }
    next()
  }

  /// True: the line is in the log.
  @discardableResult
  private func warn(_ line: String) -> Bool {
    guard failures.allow(at: .now()) else { return false }
    logger.warning("\(line)")
    return true
  }

  private func environment(_ event: PeerEventReport) -> [String: String] {
    guard let peer = event.peer else { return [:] }
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return [
      "PATH": environmentVariable("PATH") ?? usual,
      "MNEDC_EVENT": event.event.rawValue,
      "MNEDC_INTERFACE": interface,
      "MNEDC_PEER_ID": peer.deviceId,
      "MNEDC_PEER_ADDRESS": peer.address,
      "MNEDC_PEER_ADDRESS6": peer.address6 ?? "",
      "MNEDC_PEER_PLATFORM": peer.platform ?? "",
      "MNEDC_PEER_SERVICES": (peer.services ?? []).filter { $0.health == .up }.map(\.name).joined(separator: ","),
      "MNEDC_PEER_JSON": String(decoding: JSON.line(peer).dropLast(), as: UTF8.self),
    ]
  }
}
