// A daemon watches its own threads, each of which has to take turns, because a timer of the main thread alone would go
// on while the packet thread hangs. systemd's watchdog would also count the time in which the host was frozen.

internal import Synchronization
internal import SystemIO

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
