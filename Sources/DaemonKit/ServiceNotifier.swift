// The proof of life comes from every thread: a timer of the main thread alone would continue while the packet thread
// hangs. The daemon has a watchdog of its own, since systemd's also counts the time for which the host was frozen.

internal import Synchronization
internal import SystemIO
internal import Wire

/// Sends the daemon's status line to the service manager, if there is one. If the unit has a watchdog, it also sends
/// regular proofs that all threads of the daemon work; otherwise the daemon's own watchdog gets them.
///
/// Owned by the main thread (`@unchecked`: other threads hand back to it).
final class ServiceNotifier: @unchecked Sendable {
  /// Has each working thread call back in its turn, then calls `done` with the new status line, or with `nil` to keep
  /// the present one.
  typealias Proof = (_ done: @escaping @Sendable (_ status: String?) -> Void) -> Void

  // Set once.
  private let program: String
  private let events: EventLoop
  private let watchdog = ServiceManager.watchdogTime

  private var status = ""
  private var proof: Proof = { _ in }
  private var ownWatchdog: Watchdog?

  /// The interval of proofs without a watchdog of the unit.
  private static let interval = Duration.seconds(10)

  init(_ program: String, on events: EventLoop) {
    self.program = program
    self.events = events
  }

  /// Sends the status line if it is new.
  func tell(_ status: String) {
    guard status != self.status else { return }
    self.status = status
    notifyServiceManager("STATUS=\(Self.line(status))")
  }

  /// Sends that the daemon is ready, and the status line.
  func tellReady(_ status: String? = nil) {
    if let status { self.status = status }
    notifyServiceManager("READY=1\nSTATUS=\(Self.line(self.status))")
  }

  /// Begins the proofs, which continue while the loop runs. A stuck thread delays the proof under way, and so all
  /// further ones.
  func begin(_ proof: @escaping Proof) {
    self.proof = proof
    guard ServiceManager.isThere else { return }
    if watchdog == nil { watchItself() }
    next()
  }

  /// The loop is about to end.
  func stop() {
    ownWatchdog?.stop()
  }

  private func watchItself() {
    ownWatchdog = Watchdog()
    ownWatchdog?.start { [program] in
      // The log's own thread may be the one that is stuck.
      printError("\(program): a thread has been stuck for 30 s; the daemon ends itself, to be started again")
      abortProcess()
    }
  }

  private func next() {
    // Three proofs within the time limit, so that one may be late.
    let pause = watchdog.map { min($0 / 3, Self.interval) } ?? Self.interval
    events.schedule(after: pause) { [unowned self] in
      proof { [self] status in
        events.post { [self] in isProven(status) }
      }
    }
  }

  private func isProven(_ status: String?) {
    if watchdog != nil { notifyServiceManager("WATCHDOG=1") }
    ownWatchdog?.beat()
    if let status { tell(status) }
    next()
  }

  /// Without control characters: the status may quote a relay or a server.
  private static func line(_ status: String) -> String {
    status.replacing(unless: \.isHarmless, with: " ")
  }
}

/// Ends the daemon if one of its threads is stuck, so that the service manager starts it again.
///
/// systemd's watchdog (WatchdogSec=) also counts the time for which the host, the container or the daemon was frozen,
/// and then ends a healthy daemon. This watchdog counts the turns of a thread that is frozen with the others.
final class Watchdog: Sendable {
  // Set once.
  private let isOver: WakeUp

  // For any thread.
  private let beats = Atomic<Int>(0)

  /// The time from one turn to the next.
  private static let pause = Duration.seconds(5)
  /// After this many turns without a beat, a thread is stuck. Beats come every 10 seconds.
  static let patience = 6

  init?() {
    guard let isOver = try? WakeUp() else { return nil }
    self.isOver = isOver
  }

  /// Watches on a thread of its own until `stop`. Calls `bite` at most once, on that thread.
  func start(_ bite: @escaping @Sendable () -> Void) {
    SystemThread.detach(name: "watchdog") { [self] in
      var turns = Turns()
      while !isOver.wait(until: Instant.now().advanced(by: Self.pause)) {
        if turns.next(beats: beats.load(ordering: .relaxed)) { return bite() }
      }
    }
  }

  /// Notes that all threads have worked since the last beat. From any thread.
  func beat() {
    beats.add(1, ordering: .relaxed)
  }

  /// From any thread.
  func stop() {
    isOver.raise()
  }

  /// Counts the turns in a row without a new beat.
  struct Turns {
    private var seen = 0
    private var missed = 0

    /// Returns whether a thread is stuck.
    mutating func next(beats: Int) -> Bool {
      missed = beats == seen ? missed + 1 : 0
      seen = beats
      return missed >= Watchdog.patience
    }
  }
}
