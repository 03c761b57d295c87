internal import SystemIO
internal import Wire

/// How much one connection may receive before the next one's turn: a number of frames, and a time. Reads the clock at
/// every expensive frame, and at every 32nd of the others.
struct ReceiveTurn {
  /// In data frames. Any other frame counts as `otherCost` of them, because the receiver has to open, parse and answer
  /// it.
  static let limit = 2048
  static let otherCost = 32
  /// In nanoseconds.
  static let time: UInt64 = 500_000

  private let end: UInt64
  private var cost = 0
  private var nextLook = otherCost
  /// What the turn's control, ping and pong frames count in `ControlRate`.
  private(set) var controlCost = 0
  private(set) var isOver = false

  init(from start: Instant) {
    end = start.nanoseconds + Self.time
  }

  /// Counts a delivered frame by its payload's length.
  mutating func count(_ type: FrameType, _ length: Int) {
    if type == .data {
      cost += 1
    } else {
      cost += Self.otherCost
      if type.isSealedByLink { controlCost += 1 + length / ControlRate.bytesPerFrame }
    }
    if cost >= Self.limit {
      isOver = true
    } else if cost >= nextLook {
      nextLook = cost + Self.otherCost
      isOver = Instant.now().nanoseconds >= end
    }
  }
}

/// How many control, ping and pong frames the other end may send. If it sends more, this end reads more slowly, and
/// ends the connection after `patience`. A long frame counts as several.
public struct ControlRate: Sendable {
  public let perSecond: Int
  private let burst: Double
  private var tokens: Double
  private var last = Instant.now()
  /// Since when the other end sends too much, short rests included.
  private var overSince: Instant?
  /// When it last sent too much.
  private var lastOver: Instant?

  /// How long the other end may send too much.
  public static let patience = Duration.seconds(10)
  /// After this time without too much, the patience starts again. Longer than any pause.
  private static let rest = Duration.seconds(2)
  /// A frame counts once more for each of so many bytes.
  static let bytesPerFrame = 1024

  /// `burst`: how many it may send at once after a rest.
  public init(perSecond: Int, burst: Int) {
    self.perSecond = perSecond
    self.burst = Double(burst)
    tokens = self.burst
  }

  enum Verdict: Equatable {
    case fine
    case pause(Duration)
    case end
  }

  mutating func take(_ frames: Int, at now: Instant) -> Verdict {
    tokens = min(burst, tokens + now.since(last).seconds * Double(perSecond))
    last = now
    if tokens >= burst / 2 { overSince = nil }
    if let lastOver, now.since(lastOver) >= Self.rest { overSince = nil }
    tokens -= Double(frames)
    guard tokens < 0 else { return .fine }
    lastOver = now
    let since = overSince ?? now
    overSince = since
    guard now.since(since) < Self.patience else { return .end }
    // After the pause, the frames of a tenth of a second may follow.
    return .pause(min(.seconds(0.1 - tokens / Double(perSecond)), .seconds(1)))
  }
}
