/// Lets so many things a second happen, and so many at once after a quiet time (a token bucket). Not for several threads.
public struct RateLimit: Sendable {
  private let perSecond: Double
  private let burst: Double
  private var tokens: Double
  private var last = Instant.now()
  /// How many were not allowed since the last that was.
  public private(set) var suppressed = 0

  public init(perSecond: Double, burst: Double) {
    self.perSecond = perSecond
    self.burst = burst
    tokens = burst
  }

  /// Whether it may happen now, at the price of `cost`. A price above what is left is allowed once, and owed.
  public mutating func allow(cost: Double = 1, at now: Instant) -> Bool {
    refill(at: now)
    guard tokens >= min(cost, 1) else {
      suppressed += 1
      return false
    }
    suppressed = 0
    tokens -= cost
    return true
  }

  /// Whether it could happen now.
  public func mightAllow(at now: Instant) -> Bool {
    var copy = self
    copy.refill(at: now)
    return copy.tokens >= 1
  }

  /// How long until it could happen; zero if it could now.
  public func wait(at now: Instant) -> Duration {
    var copy = self
    copy.refill(at: now)
    return copy.tokens >= 1 ? .zero : .seconds((1 - copy.tokens) / perSecond)
  }

  private mutating func refill(at now: Instant) {
    tokens = min(burst, tokens + now.since(last).seconds * perSecond)
    last = now
  }
}
