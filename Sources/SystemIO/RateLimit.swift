/// A token bucket: allows `perSecond` things a second, and `burst` at once after a quiet time. For one thread at a
/// time.
public struct RateLimit: Sendable {
  private let perSecond: Double
  private let burst: Double
  private var tokens: Double
  private var last = Instant.now()
  /// How many were refused since the last that was allowed.
  public private(set) var suppressed = 0

  public init(perSecond: Double, burst: Double) {
    self.perSecond = perSecond
    self.burst = burst
    tokens = burst
  }

  /// Takes `cost` tokens; false if there is not even one. A higher cost than what is left is allowed once, and owed.
  public mutating func allow(cost: Double = 1, at now: Instant) -> Bool {
    tokens = tokens(at: now)
    last = now
    guard tokens >= min(cost, 1) else {
      suppressed += 1
      return false
    }
    suppressed = 0
    tokens -= cost
    return true
  }

  /// Whether `allow` would succeed now.
  public func mightAllow(at now: Instant) -> Bool { tokens(at: now) >= 1 }

  /// How long until `allow` would succeed.
  public func wait(at now: Instant) -> Duration {
    let tokens = tokens(at: now)
    return tokens >= 1 ? .zero : .seconds((1 - tokens) / perSecond)
  }

  private func tokens(at now: Instant) -> Double {
    min(burst, tokens + now.since(last).seconds * perSecond)
  }
}
