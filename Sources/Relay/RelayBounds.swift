internal import Link
internal import Synchronization
internal import SystemIO

/// The resources that all loops share. For any thread.
final class RelayBounds: Sendable {
  let sendMemory: SendMemory
  let connections: ConnectionLimit

  init(_ settings: RelaySettings) {
    sendMemory = SendMemory(limit: settings.memory)
    connections = ConnectionLimit(settings.connections)
  }
}

/// Limits the number of connections, so that descriptors are left for the control socket and the state directory. For
/// any thread.
final class ConnectionLimit: Sendable {
  let maximum: Int
  private let connections = Atomic(0)

  init(_ maximum: Int) {
    self.maximum = maximum
  }

  var isReached: Bool { connections.load(ordering: .relaxed) >= maximum }

  /// Adds to the number of connections.
  func count(_ number: Int) { connections.add(number, ordering: .relaxed) }
}

/// A rate limit for each source address. Not synchronised.
struct SourceLimits {
  private let perSecond: Double
  private let burst: Double
  private var limits: [String: (limit: RateLimit, last: Instant)] = [:]

  private static let maximumSources = 4096

  init(perSecond: Double, burst: Double) {
    self.perSecond = perSecond
    self.burst = burst
  }

  /// Whether `source` may act now; counts that.
  mutating func allow(_ source: String, at now: Instant) -> Bool {
    var entry = limits[source] ?? (RateLimit(perSecond: perSecond, burst: burst), now)
    let isAllowed = entry.limit.allow(at: now)
    entry.last = now
    if limits[source] == nil { makeRoom(at: now) }
    limits[source] = entry
    return isAllowed
  }

  /// Whether `source` could act now; counts nothing.
  func mightAllow(_ source: String, at now: Instant) -> Bool {
    limits[source]?.limit.mightAllow(at: now) ?? true
  }

  /// Forgets the sources that have recovered; if too many are left, also half of those.
  private mutating func makeRoom(at now: Instant) {
    guard limits.count >= Self.maximumSources else { return }
    let recovered = Duration.seconds(burst / perSecond)
    limits = limits.filter { now.since($0.value.last) < recovered }
    guard limits.count >= Self.maximumSources / 2 else { return }
    limits = Dictionary(uniqueKeysWithValues: limits.dropFirst(limits.count / 2).map { ($0.key, $0.value) })
  }
}
