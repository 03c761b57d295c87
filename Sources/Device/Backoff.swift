package import SystemIO

/// The wait between attempts: 100 ms, doubled each time up to 1.5 s in the first minute of an outage, since a restarted
/// relay is back soon, and later up to 30 s. Half of every wait is random, so that many devices do not come back in
/// step.
package struct Backoff {
  private static let shortest = Duration.milliseconds(100)
  private static let longestWhileYoung = Duration.milliseconds(1500)
  private static let youth = Duration.seconds(60)
  private static let longest = Duration.seconds(30)
  /// The longest wait that a relay can ask for.
  private static let longestHint = Duration.seconds(300)

  private var next = Backoff.shortest
  /// When the outage began.
  private var since: Instant?

  package init() {}

  /// The wait before the next attempt.
  package mutating func wait(at now: Instant) -> Duration {
    let since = self.since ?? now
    self.since = since
    let wait = min(next, now.since(since) < Self.youth ? Self.longestWhileYoung : Self.longest)
    next = min(wait * 2, Self.longest)
    return Self.spread(wait)
  }

  /// The wait that a relay asks for, which knows how many other devices wait.
  package static func wait(asked hint: Duration) -> Duration {
    spread(min(max(hint, shortest), longestHint))
  }

  /// The device has joined. The length of the waits stays until `reset`.
  package mutating func endOutage() {
    since = nil
  }

  /// The device was joined for long, or something has changed that may end the outage.
  package mutating func reset() {
    self = Backoff()
  }

  private static func spread(_ wait: Duration) -> Duration {
    wait * Double.random(in: 0.5...1)
  }
}
