internal import SystemIO
internal import Wire

/// The largest TCP segments on the path to each address of a server where larger ones get lost.
///
/// If a path is in doubt, the device sends a handshake that fills packets, which shows within seconds whether those get
/// through, so plain loss does not lower the limit. A relay that is stuck for a moment looks like a path that loses
/// large packets: unless the kernel has seen such losses, a smaller size is kept only after the larger one has failed
/// again.
///
/// Owned by the device's thread. An `address` is any text that names a path; the same address has another text in
/// another network.
struct SegmentLimits {
  static let steps = HandshakeHello.segmentSizes
  /// How long a limit holds; then the device tries larger packets again.
  static let memory = Duration.seconds(3600)
  /// If data is stuck again within this time after large packets got through, the limit is lowered at once. The first
  /// time, the former size is tried once more, since an outage looks the same; the second time, the lower limit stays.
  static let relapse = Duration.seconds(60)
  /// How many addresses are kept; with one more, all are forgotten.
  private static let maximum = 16
  /// The largest segment of a path of 1500 bytes.
  private static let usual = 1460

  private struct Path {
    var limit: Int?
    var isInDoubt = true
    var isSuspected = false
    /// Larger segments certainly get lost; `nil`: no size is known to. A `limit` below it is kept only after segments
    /// of this size have failed again.
    var ceiling: Int?
    /// The limit that works, while segments of the size `ceiling` are tried once more.
    var candidate: Int?
    /// Whether data was stuck again soon after large packets got through.
    var hasRelapsed = false
    /// When packets as large as the limit allows last got through, and whether in both directions.
    var proved: Instant?
    var isProvedBothWays = false
  }

  /// By address.
  private var paths: [String: Path] = [:]

  /// The segment size to dial the address with; `nil`: as large as this host's link takes. A limit that is too old is
  /// given up, and the address is in doubt again.
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

  /// Whether the doubt has a better reason than a missing answer, which a busy relay explains as well.
  func isSuspected(_ address: String) -> Bool { paths[address]?.isSuspected ?? false }

  /// A connection to the address with segments of this size is stuck, perhaps because large packets get lost. `isSure`:
  /// the kernel has seen them get lost.
  mutating func doubt(_ address: String, segment: Int, isSure: Bool, at now: Instant) {
    if paths.count >= Self.maximum, paths[address] == nil { paths = [:] }
    var path = paths[address] ?? Path()
    path.isInDoubt = true
    path.isSuspected = isSure
    let isSoon = path.proved.map { now.since($0) < Self.relapse } ?? false
    if isSoon, isSure || !path.isProvedBothWays, let lower = Self.step(below: segment) {
      path.limit = lower
      if path.hasRelapsed || !path.isProvedBothWays { path.ceiling = lower }
    }
    path.hasRelapsed = isSoon
    paths[address] = path
  }

  /// A handshake of large packets has had no answer; `isLost`: the relay's host did not acknowledge them. False: there
  /// is no smaller size to try, so the size was not the reason.
  mutating func noteUnanswered(_ address: String, segment: Int, isLost: Bool) -> Bool {
    guard var path = paths[address], let lower = path.candidate ?? Self.step(below: segment) else {
      paths[address] = nil
      return false
    }
    if isLost || path.candidate != nil { path.ceiling = lower }
    path.limit = lower
    path.candidate = nil
    paths[address] = path
    return true
  }

  enum Outcome: Equatable {
    /// The connection is good; its limit, if there is one.
    case settled(Int?)
    /// The device has to try larger packets once more.
    case again
  }

  /// The handshake has had an answer; `isBothWays`: in packets as large.
  mutating func noteAnswered(_ address: String, isBothWays: Bool, at now: Instant) -> Outcome {
    guard var path = paths[address] else { return .settled(nil) }
    defer { paths[address] = path }
    if path.limit != path.ceiling {
      (path.limit, path.candidate) = (path.ceiling, path.limit)
      return .again
    }
    path.isInDoubt = false
    path.candidate = nil
    path.proved = now
    path.isProvedBothWays = isBothWays
    return .settled(path.limit)
  }

  /// The largest step that is clearly smaller.
  private static func step(below segment: Int) -> Int? {
    steps.first { $0 < (segment > usual ? segment : min(segment, steps[0])) }
  }
}
