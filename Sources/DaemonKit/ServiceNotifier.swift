// A daemon watches its own threads, each of which has to take turns, because a timer of the main thread alone would go
// on while the packet thread hangs. systemd's watchdog would also count the time in which the host was frozen.

internal import Synchronization
internal import SystemIO
internal import Wire

/// Tells the service manager how the daemon does, if one has asked for that: a line about it, and, where it watches,
/// again and again that all of the daemon's threads still work. Where it does not watch, the daemon's own watchdog
/// does.
///
/// Owned by the main thread (`@unchecked`: others hand back to it).
final class ServiceNotifier: @unchecked Sendable {
  /// Has each thread that does the daemon's work call back in its turn, and then gives what the daemon does now, if
  /// that is to be told.
  typealias Proof = (_ done: @escaping @Sendable (_ status: String?) -> Void) -> Void

  // Set once.
  private let program: String
  private let events: EventLoop
  private let watchdog = ServiceManager.watchdogTime

  private var status = ""
  private var proof: Proof = { _ in }
  private var ownWatchdog: Watchdog?

  /// How often the line is looked at where nobody watches.
  private static let interval = Duration.seconds(10)

  init(_ program: String, on events: EventLoop) {
    self.program = program
    self.events = events
  }

  /// The line, unless it has been told.
  func tell(_ status: String) {
    guard status != self.status else { return }
    self.status = status
    notifyServiceManager("STATUS=\(Self.line(status))")
  }

  /// The daemon does its work, and what that is.
  func tellReady(_ status: String? = nil) {
    if let status { self.status = status }
    notifyServiceManager("READY=1\nSTATUS=\(Self.line(self.status))")
  }

  /// From now on, as long as the loop runs. A thread that is stuck keeps the proof from being given, and with it every
  /// further word of this daemon's life, until it goes on.
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
    // Three times within the time, so that one that is late does no harm.
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

  /// Part of it may be what a relay or a server has said.
  private static func line(_ status: String) -> String {
    status.replacing(unless: \.isHarmless, with: " ")
  }
}

/// Ends the daemon once a thread of it is stuck, so that the service manager starts it again.
///
/// systemd's own watchdog (WatchdogSec=) also counts the time for which the host, the container or the daemon was
/// frozen, and ends a healthy daemon after it. This one counts the turns of a thread, which is frozen with the others.
final class Watchdog: Sendable {
  // Set once.
  private let isOver: WakeUp

  // For any thread.
  private let beats = Atomic<Int>(0)

  /// The time from one turn to the next.
  private static let pause = Duration.seconds(5)
  /// After so many turns without a beat, which comes every 10 seconds, a thread is stuck.
  static let patience = 6

  init?() {
    guard let isOver = try? WakeUp() else { return nil }
    self.isOver = isOver
  }

  /// Watches from now on, on a thread of its own, until `stop`. `bite` is called once, on that thread.
  func start(_ bite: @escaping @Sendable () -> Void) {
    SystemThread.detach(name: "watchdog") { [self] in
      var turns = Turns()
      while !isOver.wait(until: Instant.now().advanced(by: Self.pause)) {
        if turns.next(beats: beats.load(ordering: .relaxed)) { return bite() }
      }
    }
  }

  /// All threads have done their work since the last beat. From any thread.
  func beat() {
    beats.add(1, ordering: .relaxed)
  }

  /// From any thread.
  func stop() {
    isOver.raise()
  }

  /// The turns in a row that found no new beat.
  struct Turns {
    private var seen = 0
    private var missed = 0

    /// True: a thread is stuck.
    mutating func next(beats: Int) -> Bool {
      missed = beats == seen ? missed + 1 : 0
      seen = beats
      return missed >= Watchdog.patience
    }
  }
}
