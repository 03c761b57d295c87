internal import Synchronization
internal import SystemIO

extension Relay {
  /// Calls `reply`, on one of the loops' threads, with how many devices are in, once each loop has had its turn: as long as one is
  /// stuck, never. From any thread.
  public func prove(_ reply: @escaping @Sendable (_ online: Int) -> Void) {
    let missing = Countdown(loops.count)
    for loop in loops {
      loop.events.post { [self] in
        if missing.takeOne() { reply(presence.occupancy.online) }
      }
    }
  }
}

private final class Countdown: Sendable {
  private let left: Atomic<Int>

  init(_ count: Int) {
    left = Atomic(count)
  }

  /// True: it was the last.
  func takeOne() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}
