internal import Synchronization
internal import SystemIO

/// Has changes announced at once when it was quiet, and together when many come: at most once in `interval`.
final class Announcer: Sendable {
  private static let interval = Duration.milliseconds(50)

  // Set once.
  private let events: EventLoop
  /// Returns whether there is more to announce.
  private let announce: @Sendable () -> Bool

  // For any thread.
  private let isScheduled = Atomic<Bool>(false)
  private let lastRun = Mutex<Instant?>(nil)

  init(on events: EventLoop, _ announce: @escaping @Sendable () -> Bool) {
    self.events = events
    self.announce = announce
  }

  /// Something has changed. From any thread.
  func trigger() {
    guard !isScheduled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    events.post { [self] in
      let last = lastRun.withLock { $0 }
      let wait = last.map { Self.interval - Instant.now().since($0) } ?? .zero
      if wait > .zero { events.schedule(after: wait) { self.run() } } else { run() }
    }
  }

  private func run() {
    lastRun.withLock { $0 = .now() }
    isScheduled.store(false, ordering: .releasing)
    if announce() { trigger() }
  }
}
