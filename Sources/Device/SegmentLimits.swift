internal import SystemIO

/// How large TCP segments may be on the way to each address of a server, where larger ones were found not to get through.
///
/// An address in doubt is dialed so that the handshake itself fills packets, which shows within seconds whether those get through:
/// plain loss costs no connection its segment size. A relay that is stuck for a moment looks like a path that loses its large
/// packets, so unless the packets are seen to be lost, a smaller size that works counts only once the larger one has failed again.
/// Owned by the device's thread. An `address` here is any text that stands for a path: in another network it is another.
struct SegmentLimits {
  /// In bytes without headers, counted as TCP_MAXSEG does: for a path of 1500 bytes where this host's link takes more; for one of
  /// 1280, which IPv6 asks of every path (RFC 8200, section 5); and for any (RFC 9293, section 3.7.1).
  static let steps = [1400, 1200, 536]
  /// How long a limit holds; then larger packets are tried again.
  static let memory = Duration.seconds(3600)
  /// Data that is stuck so soon after large packets got through has the limit lowered.
  static let relapse = Duration.seconds(60)
  /// More addresses than that are not kept.
  private static let maximum = 16
  /// The largest segment of a path of 1500 bytes.
  private static let usual = 1460

  private struct Path {
    var limit: Int?
    var isInDoubt = true
    var isSuspected = false
    /// Whether it is sure that what is larger than `limit` gets lost.
    var isSure = false
    /// The limit that works, while larger packets are tried once more.
    var candidate: Int?
    /// When packets as large as the limit allows got through the last time, and whether in both directions.
    var proved: Instant?
    var isProvedBothWays = false
  }

  /// By address.
  private var paths: [String: Path] = [:]

  /// What to dial the address with; `nil`: as large as this host's link takes. A limit that has become old is given up, and the
  /// address in doubt again.
  mutating func limit(for address: String, at now: Instant) -> Int? {
    guard let path = paths[address] else { return nil }
    if !path.isInDoubt, path.limit != nil, let proved = path.proved, now.since(proved) >= Self.memory {
      paths[address] = Path()
      return nil
    }
    return path.limit
  }

  /// Whether the next connection is to show that large packets get through.
  func isInDoubt(_ address: String) -> Bool { paths[address]?.isInDoubt ?? false }

  /// Whether there is more reason for the doubt than an answer that did not come, as from a relay that is busy.
  func isSuspected(_ address: String) -> Bool { paths[address]?.isSuspected ?? false }

  /// A connection to the address, of segments of this size, stands, perhaps since large packets do not get through. `isSure`: they
  /// were seen not to.
  mutating func doubt(_ address: String, segment: Int, isSure: Bool, at now: Instant) {
    if paths.count >= Self.maximum, paths[address] == nil { paths = [:] }
    var path = paths[address] ?? Path()
    path.isInDoubt = true
    path.isSuspected = isSure
    if let proved = path.proved, now.since(proved) < Self.relapse, isSure || !path.isProvedBothWays,
      let lower = Self.step(below: segment)
    {
      path.limit = lower
      path.isSure = true
    }
    paths[address] = path
  }

  /// A handshake of large packets has had no answer; `isLost`: the relay's host has not even got them. False: there is no smaller
  /// size to try, so it was not for the size.
  mutating func noteUnanswered(_ address: String, segment: Int, isLost: Bool) -> Bool {
    guard var path = paths[address], let lower = path.candidate ?? Self.step(below: segment) else {
      paths[address] = nil
      return false
    }
    path.isSure = path.isSure || isLost || path.candidate != nil
    path.limit = lower
    path.candidate = nil
    paths[address] = path
    return true
  }

  enum Outcome: Equatable {
    /// The connection is good; its limit, if there is one.
    case settled(Int?)
    /// Larger packets are to be tried once more.
    case again
  }

  /// It has had one, of packets as large if `isBothWays`.
  mutating func noteAnswered(_ address: String, isBothWays: Bool, at now: Instant) -> Outcome {
    guard var path = paths[address] else { return .settled(nil) }
    defer { paths[address] = path }
    if let limit = path.limit, !path.isSure {
      (path.limit, path.candidate) = (nil, limit)
      return .again
    }
    path.isInDoubt = false
    path.candidate = nil
    path.proved = now
    path.isProvedBothWays = isBothWays
    return .settled(path.limit)
  }

  /// The first step that makes a difference.
  private static func step(below segment: Int) -> Int? {
    steps.first { $0 < (segment > usual ? segment : min(segment, steps[0])) }
  }
}
