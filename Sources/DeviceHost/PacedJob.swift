internal import SystemIO

/// A job that is done soon after it is asked for, and no more often than a rate allows. Owned by the loop's thread.
final class PacedJob {
  // Set once.
  private let events: EventLoop
  private let job: () -> Void

  private var rate: RateLimit
  private var isDue = false

  /// What asks for a job seldom asks once.
  private static let delay = Duration.milliseconds(20)

  init(on events: EventLoop, _ rate: RateLimit, _ job: @escaping () -> Void) {
    self.events = events
    self.rate = rate
    self.job = job
  }

  /// Asks for the job; more requests until it is done are one.
  func request() {
    guard !isDue else { return }
    isDue = true
    events.schedule(after: max(Self.delay, rate.wait(at: .now()))) { [weak self] in
      guard let self else { return }
      self.isDue = false
      _ = self.rate.allow(at: .now())
      self.job()
    }
  }
}
