public import Control
public import Logging
public import SystemIO
internal import Wire

/// Runs the command of `join.on-peer`, for one event at a time. Owned by the main thread.
public final class PeerHook {
  // Set once.
  private let events: EventLoop
  private let logger: Logger

  /// The program and its arguments; empty: no command runs.
  public var command: [String] {
    didSet { if command.isEmpty { queue = HookQueue() } }
  }

  public var interface: String

  private var queue = HookQueue()
  private var running: ChildProcess?
  private var isStopped = false
  private var failures = RateLimit(perSecond: 1.0 / 60, burst: 1)
  private var droppedBefore = 0

  /// The command's time for one event.
  private static let timeout = Duration.seconds(10)
  /// The length of the output that is logged if the command fails, in bytes.
  private static let outputLimit = 500

  public init(_ command: [String], interface: String, on events: EventLoop, logger: Logger) {
    self.command = command
    self.interface = interface
    self.events = events
    self.logger = logger
  }

  /// Runs the command for this event after those before it.
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

  /// Returns whether the line was logged.
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

/// The events that wait for a hook. Events that cancel each other are left out, such as a peer that joined and left,
/// and so is outdated information.
struct HookQueue {
  private(set) var events: [PeerEventReport] = []
  /// The number of events dropped because too many waited.
  private(set) var dropped = 0

  static let maximum = 256

  mutating func add(_ event: PeerEventReport) {
    let last = events.lastIndex {
      $0.peer?.address == event.peer?.address && $0.peer?.deviceId == event.peer?.deviceId
    }
    switch (last.map { events[$0].event }, event.event) {
    case (.joined, .left):
      // The command does not know of the peer yet.
      if let last { events.remove(at: last) }
      return
    case (.changed, .left):
      if let last { events.remove(at: last) }
    case (.joined, .changed), (.changed, .changed):
      if let last { events[last].peer = event.peer }
      return
    default: break
    }
    if events.count >= Self.maximum {
      events.removeFirst()
      dropped += 1
    }
    events.append(event)
  }

  mutating func next() -> PeerEventReport? {
    events.isEmpty ? nil : events.removeFirst()
  }
}
