public import Tun
public import Wire

/// Why there is no connection to the relay, or none any more.
public enum UplinkLoss: Error, Sendable, CustomStringConvertible {
  /// No server took the connection; what went wrong with each.
  case unreachable([String])
  /// The relay said no.
  case refused(Refusal)
  /// Whoever answers is not the relay that it should be.
  case distrusted(RelayDistrust)
  /// The network has addresses that mean something else on this host.
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

  /// Whether the way to the relay works, and it is who answers, or who it is, that ends the attempt.
  var isTurnedAway: Bool {
    switch self {
    case .refused(let refusal): !refusal.isPassing
    case .distrusted, .collision, .publicPool: true
    case .unreachable, .broken: false
    }
  }

  public var description: String {
    switch self {
    case .unreachable(let failures): failures.joined(separator: "; ")
    case .refused(let refusal) where refusal.code == .silent || refusal.code == .protocolError:
      "the relay ended the connection: \(refusal.text)"
    case .refused(let refusal): refusal.text
    case .distrusted(let problem): problem.description
    case .collision(let collision):
      "\(collision); have the relay use another pool (relay.pool: auto), or allow it with --allow-overlap"
    case .publicPool(let pool):
      "the network \(pool) has addresses of the Internet, which this host could not reach any more; have the relay use another "
        + "pool (relay.pool: auto), or allow it with join.allow-public-pool"
    case .broken(let why): why
    }
  }
}

extension UplinkLoss {
  /// When the relay would like to see the device again. What anybody on the way can say does not come as a refusal.
  var retryAfter: Duration? {
    if case .refused(let refusal) = self { refusal.retryAfter.map { .milliseconds($0) } } else { nil }
  }
}
