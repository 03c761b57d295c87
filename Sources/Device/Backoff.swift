/// How long to wait between attempts: 100 ms, then twice as long each time up to 30 s, spread at random over half of it so
/// that many devices do not come back in step.
struct Backoff {
  private static let shortest = Duration.milliseconds(100)
  private static let longest = Duration.seconds(30)

  private var next = Backoff.shortest

  /// The wait before the next attempt.
  mutating func wait() -> Duration {
    defer { next = min(next * 2, Self.longest) }
    return next * Double.random(in: 0.5...1)
  }

  mutating func reset() {
    next = Self.shortest
  }
}
