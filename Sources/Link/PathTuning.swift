// `TCP_NOTSENT_LOWAT` alone lets the kernel take one whole packet more, so on slow paths the sender asks how much is
// queued. Connections change to BBR below 400 Mbit/s and back above 800: below, BBR keeps router queues short that
// CUBIC and Reno fill; above, its timers cost a quarter of the throughput. Five measurements in a row decide, because
// the kernel keeps BBR's timers once they are armed.

internal import SystemIO

/// What the kernel is told of a connection as the path turns out to be: how many bytes it may hold that it has not sent yet, and
/// whose congestion control it uses. Guarded by the connection's lock.
///
/// What the kernel holds can no longer be reordered or dropped, so it is to be what the other end takes in a short while:
/// little on a slow link; on a fast one, little would mean a system call for every bit of it. What is on its way stands in the
/// routers' queues, which BBR keeps short where others fill them; on a fast path its timers would cost more than they save.
struct PathTuning {
  /// What the kernel's share may last.
  private static let time = Duration.milliseconds(2)
  private static let range = 4 << 10...1 << 20
  /// The kernel takes about so much more than its share, as much as it puts into one packet for the card. Where that counts,
  /// `unsentLimit` has to be kept by whoever sends.
  private static let tightness = 128 << 10
  /// Between two looks at the rate.
  private static let interval = Duration.milliseconds(10)
  /// How much must have been sent between them, in bytes.
  private static let leastSent = 16 << 10
  /// In bytes a second. In between, what was chosen stays.
  private static let slow: UInt64 = 50_000_000
  private static let fast: UInt64 = 100_000_000
  /// How many looks in a row must find a path slow: the first packets of a connection say little, and once it had BBR, the kernel
  /// goes on to space its packets out.
  private static let slowLooks = 5

  /// In bytes.
  private(set) var unsentLimit = Int(TCPTuning.frames.unsentLimit)
  /// The round trip that nearly no packet exceeded at the last look; zero before.
  private(set) var roundTrip = Duration.zero
  private var sentSinceLook = 0
  private var lastLook = Instant(nanoseconds: 0)
  private var congestion: Congestion
  private var slowInRow = 0

  private enum Congestion {
    /// The system's own; BBR where that is better.
    case system
    case bbr(instead: String)
    /// The system's own, whatever comes.
    case fixed
  }

  init(choosesCongestionControl: Bool) {
    congestion = choosesCongestionControl ? .system : .fixed
  }

  /// Whether more than `unsentLimit` would be too much.
  var isTight: Bool { unsentLimit < Self.tightness }

  /// How many bytes the path takes in 4 ms, where that is little.
  var shortRun: Int? { isTight ? 2 * unsentLimit : nil }

  /// Looks at the path if that is due, to be called when so many bytes were sent.
  mutating func adapt(_ socket: borrowing Descriptor, sent: Int) {
    // As long as little goes there is nothing to learn, and the clock need not be asked.
    sentSinceLook += sent
    guard sentSinceLook >= min(unsentLimit / 2, Self.leastSent) else { return }
    let now = Instant.now()
    guard now.since(lastLook) >= Self.interval else { return }
    lastLook = now
    guard let path = socket.tcpPath(), path.rate > 0 else { return }
    sentSinceLook = 0
    roundTrip = path.longRoundTrip
    let limit = Self.unsentLimit(at: path.rate)
    // A path that was not used to the full may be faster than it seems, but not slower.
    if !path.mayBeFaster || limit > unsentLimit { limitUnsent(of: socket, to: limit) }
    slowInRow = !path.mayBeFaster && path.rate < Self.slow ? slowInRow + 1 : 0
    chooseCongestionControl(of: socket, at: path.rate)
  }

  /// For a path that takes `rate` bytes a second.
  static func unsentLimit(at rate: UInt64) -> Int {
    let wanted = Int(clamping: UInt64(Double(rate) * time.seconds))
    return min(max(wanted, range.lowerBound), range.upperBound)
  }

  private mutating func limitUnsent(of socket: borrowing Descriptor, to limit: Int) {
    guard abs(limit - unsentLimit) > unsentLimit / 4 else { return }
    unsentLimit = limit
    socket.setUnsentLimit(limit)
  }

  private mutating func chooseCongestionControl(of socket: borrowing Descriptor, at rate: UInt64) {
    switch congestion {
    case .system where slowInRow >= Self.slowLooks:
      guard let name = socket.congestionControl(), socket.setCongestionControl("bbr") else {
        congestion = .fixed
        return
      }
      congestion = .bbr(instead: name)
    case .bbr(let name) where rate > Self.fast:
      congestion = socket.setCongestionControl(name) ? .system : .fixed
    case .system, .bbr, .fixed:
      break
    }
  }
}
