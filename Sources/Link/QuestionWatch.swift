internal import SystemIO

/// Follows an unanswered ping (the question) by what the other end's kernel has acknowledged. On a slow path a lot of
/// data may precede the ping. While that data moves, the connection lives. Once the ping has arrived, its answer has a
/// time limit, because the other end's kernel acknowledges also for a program that is stuck.
struct QuestionWatch {
  /// The ping ends with this byte of the stream.
  private var end = Int.max
  private var acknowledged = 0
  private(set) var isDelivered = false
  private var isFirstLook = true
  /// How many segments had arrived after a missing one when the ping was sent.
  private var outOfOrder = 0

  /// A ping was sent that ends with the byte `end`.
  init(end: Int = .max, outOfOrder: Int = 0) {
    self.end = end
    self.outOfOrder = outOfOrder
  }

  /// Notes how many bytes of the stream are acknowledged. True: some of the bytes up to the ping are, that were not
  /// before.
  mutating func note(acknowledged now: Int) -> Bool {
    defer { isFirstLook = false }
    let moved = !isDelivered && now > acknowledged
    acknowledged = max(acknowledged, now)
    isDelivered = acknowledged >= end
    return moved && !isFirstLook
  }

  /// Whether large packets do not get through to this end: the other end has received the ping, and segments that it
  /// sent after the missing one arrive.
  func isIncomingBlocked(_ path: TCPPath) -> Bool {
    isDelivered && path.outOfOrder > outOfOrder
  }
}

/// The largest packets of a connection are lost on its path, and small ones are not.
public struct SizeProblem: Error, Sendable, Equatable {
  public enum Direction: Sendable { case outgoing, incoming }

  public let direction: Direction
  /// The largest segment that this end sends, in bytes without headers.
  public let segment: Int
  /// The largest packet of the path in bytes, as far as the kernel knows.
  public let mtu: Int

  /// How often in a row the oldest data must have been lost, which takes more than a second, while something was
  /// received.
  private static let timeouts = 3
  private static let recently = Duration.seconds(3)

  /// Judges by the kernel's facts and by `question`, if there is one; `heard`: how long ago bytes were last received.
  /// `nil`: there is no such problem.
  init?(_ path: TCPPath, _ question: QuestionWatch?, heard: Duration) {
    if path.timeouts >= Self.timeouts, min(path.acknowledged, heard) <= Self.recently {
      direction = .outgoing
    } else if question?.isIncomingBlocked(path) == true {
      direction = .incoming
    } else {
      return nil
    }
    segment = path.segment
    mtu = path.mtu
  }
}
