internal import SystemIO

/// How long a frame to a peer may be: what goes to the peer in a few milliseconds, since nothing else can pass a frame that is
/// being sent. On a fast path that is as long as frames ever are; on a slow one, long frames would save time of the processor that
/// nobody misses.
struct FrameLimit {
  /// How long the longest frame should take.
  private static let time = Duration.milliseconds(4)
  private static let range = 4 << 10...128 << 10
  /// Over how long the rate is taken.
  private static let window = Duration.milliseconds(20)

  /// In bytes.
  private(set) var bytes = range.lowerBound
  private var start = Instant(nanoseconds: 0)
  private var sent = 0
  private var formerLimit = range.lowerBound

  /// So many bytes go to the peer, at a time that need not be exact.
  mutating func note(_ count: Int, at now: Instant) {
    sent += count
    let passed = now.since(start)
    guard passed >= Self.window else { return }
    // Two windows, so that a short pause changes nothing.
    let most = min(Double(sent) * (Self.time.seconds / passed.seconds), Double(Self.range.upperBound))
    let limit = max(Int(most), Self.range.lowerBound)
    bytes = max(limit, formerLimit)
    formerLimit = limit
    sent = 0
    start = now
  }
}
