internal import SystemIO
public import Tun
public import Wire

/// Why an attempt to connect or a connection to the relay ended.
public enum UplinkLoss: Error, Sendable, CustomStringConvertible {
  /// No server took the connection; the reason of each.
  case unreachable([String])
  /// The relay refused.
  case refused(Refusal)
  /// The server has not proved a trusted key.
  case distrusted(RelayDistrust)
  /// Other networks of this host have addresses of the relay's network.
  case collision(NetworkCollision)
  /// The pool has addresses of the Internet.
  case publicPool(IPv4Prefix)
  /// The connection broke.
  case broken(String)

  /// Each in a word, for counting.
  public static let causes = ["broken", "collision", "distrusted", "refused", "unreachable"]

  /// One of `causes`.
  public var cause: String {
    switch self {
    case .unreachable: "unreachable"
    case .refused: "refused"
    case .distrusted: "distrusted"
    case .collision, .publicPool: "collision"
    case .broken: "broken"
    }
  }

  /// Whether the path to the relay works, and the relay or this host refused.
  var isTurnedAway: Bool {
    switch self {
    case .refused(let refusal): !refusal.isPassing
    case .distrusted, .collision, .publicPool: true
    case .unreachable, .broken: false
    }
  }

  /// How long the relay asks the device to wait. Only a proven relay can ask: others do not get to refuse.
  var retryAfter: Duration? {
    if case .refused(let refusal) = self { refusal.retryAfter.map { .milliseconds($0) } } else { nil }
  }

  public var description: String {
    switch self {
    case .unreachable(let failures): failures.joined(separator: "; ")
    case .refused(let refusal) where refusal.code == .silent || refusal.code == .protocolError:
      "the relay ended the connection: \(refusal.text)"
    case .refused(let refusal): refusal.text
    case .distrusted(let problem): problem.description
    case .collision(let collision):
      "\(collision); \(collision.advice), or allow it with --allow-overlap"
    case .publicPool(let pool):
      "the network \(pool) \(pool.objectionAsPool ?? ""); have the relay use another pool (relay.pool: auto), or allow "
        + "it with join.allow-public-pool"
    case .broken(let why): why
    }
  }
}

/// The losses since the start. Owned by the device's thread.
struct LossHistory {
  /// By `UplinkLoss.cause`.
  private(set) var counts: [String: Int] = [:]
  private(set) var last: UplinkLoss?
  private(set) var lastTime: Instant?
  /// Whether the last one was an attempt, not a connection.
  private(set) var lastWasAttempt = false
  private var joins = 0

  mutating func add(_ loss: UplinkLoss, afterJoins joins: Int) {
    counts[loss.cause, default: 0] += 1
    last = loss
    lastTime = .now()
    lastWasAttempt = joins == self.joins
    self.joins = joins
  }
}
