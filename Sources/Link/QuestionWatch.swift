internal import SystemIO

/// What has become of a question (a ping that nothing has come after), by what the other end's kernel has acknowledged. On a slow
/// path a question may stand behind a lot of data. While that moves, the connection lives; once the question is there, the
/// answer is waited for, since the other end's kernel acknowledges for a program that is stuck, too.
struct QuestionWatch {
  /// The question ends with this byte of the stream.
  private var end = Int.max
  private var acknowledged = 0
  private(set) var isDelivered = false
  private var isFirstLook = true
  /// How many segments had come after a missing one when the question was asked.
  private var outOfOrder = 0

  /// A question was sent, which ends with the byte `end`.
  init(end: Int = .max, outOfOrder: Int = 0) {
    self.end = end
    self.outOfOrder = outOfOrder
  }

  /// Takes note that so many bytes of the stream are acknowledged. True: the question has come further on its way.
  mutating func note(acknowledged now: Int) -> Bool {
    defer { isFirstLook = false }
    let moved = !isDelivered && now > acknowledged
    acknowledged = max(acknowledged, now)
    isDelivered = acknowledged >= end
    return moved && !isFirstLook
  }

  /// Whether large packets do not get through to this end: the other end has the question, and what it sends after the
  /// missing data arrives.
  func isIncomingBlocked(_ path: TCPPath) -> Bool {
    isDelivered && path.outOfOrder > outOfOrder
  }
}

/// That the largest packets of a connection are lost on its path, and small ones are not.
public struct SizeProblem: Error, Sendable, Equatable {
  public enum Direction: Sendable { case outgoing, incoming }

  public let direction: Direction
  /// The largest segment that this end sends, in bytes without headers.
  public let segment: Int
  /// The largest packet of the path in bytes, as far as the kernel knows.
  public let mtu: Int

  /// So often in a row the oldest data must have been lost, for more than a second, while something came.
  private static let timeouts = 3
  private static let recently = Duration.seconds(3)

  /// What the kernel and `question`, if there is one, know; `heard`: how long ago bytes last came. `nil`: there is no such problem.
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
