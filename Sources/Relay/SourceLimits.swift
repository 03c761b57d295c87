internal import SystemIO

/// How often each address may do something, for as many addresses as are kept. Not synchronised.
struct SourceLimits {
  private let perSecond: Double
  private let burst: Double
  private var limits: [String: (limit: RateLimit, last: Instant)] = [:]

  private static let maximumSources = 4096

  init(perSecond: Double, burst: Double) {
    self.perSecond = perSecond
    self.burst = burst
  }

  /// Whether `source` may do it once more now.
  mutating func allow(_ source: String, at now: Instant) -> Bool {
    var entry = limits[source] ?? (RateLimit(perSecond: perSecond, burst: burst), now)
    let isAllowed = entry.limit.allow(at: now)
    entry.last = now
    if limits[source] == nil { makeRoom(at: now) }
    limits[source] = entry
    return isAllowed
  }

  /// Whether `source` could do it now.
  func mightAllow(_ source: String, at now: Instant) -> Bool {
    limits[source]?.limit.mightAllow(at: now) ?? true
  }

  /// Forgets those that could do it as often as anybody by now; among very many, half of them, whichever.
  private mutating func makeRoom(at now: Instant) {
    guard limits.count >= Self.maximumSources else { return }
    let recovered = Duration.seconds(burst / perSecond)
    limits = limits.filter { now.since($0.value.last) < recovered }
    guard limits.count >= Self.maximumSources / 2 else { return }
    limits = Dictionary(uniqueKeysWithValues: limits.dropFirst(limits.count / 2).map { ($0.key, $0.value) })
  }
}
