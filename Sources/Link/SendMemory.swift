internal import Synchronization

/// The memory that many send queues share, so that a crowd of destinations that do not read cannot take all there is. For any
/// thread.
///
/// A queue may have as much as is left for all others (the dynamic thresholds of Choudhury and Hahne, 1998): a few busy ones get
/// all that they want, many get equal shares, and there is always something left for the next.
public final class SendMemory: Sendable {
  /// In bytes. What must not be dropped is taken beyond it: few control frames, and the rest of a frame whose beginning
  /// is on the wire.
  public let limit: Int

  private let taken = Atomic(0)
  private let refused = Atomic(0)

  public init(limit: Int) {
    self.limit = limit
  }

  /// How many bytes the queues have now.
  public var used: Int { taken.load(ordering: .relaxed) }

  /// How often a queue was refused some.
  public var refusals: Int { refused.load(ordering: .relaxed) }

  /// Takes memory for a queue that has `held` bytes. False: it may not have more.
  func take(_ bytes: Int, holding held: Int) -> Bool {
    // Two threads at once may go past the limit together, by what each of them takes.
    guard held + bytes <= limit - used else {
      refused.add(1, ordering: .relaxed)
      return false
    }
    takeAnyway(bytes)
    return true
  }

  func takeAnyway(_ bytes: Int) {
    taken.add(bytes, ordering: .relaxed)
  }

  func giveBack(_ bytes: Int) {
    taken.subtract(bytes, ordering: .relaxed)
  }
}
