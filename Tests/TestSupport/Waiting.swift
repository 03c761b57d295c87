internal import Glibc
internal import Synchronization
internal import SystemIO

/// How long a test waits for what must happen: so long that only a hang, and no busy machine, reaches it.
public let generousWait = Duration.seconds(60)

/// Waits until `condition` holds; false if it never did.
public func wait(atMost limit: Duration = generousWait, until condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Instant.now().advanced(by: limit)
  while true {
    if try condition() { return true }
    if Instant.now() >= deadline { return false }
    usleep(500)
  }
}

/// What threads leave for a test to find.
public final class Mailbox<Item: Sendable>: Sendable {
  // Guarded by its lock.
  private let contents = Mutex<[Item]>([])

  public init() {}

  public var items: [Item] { contents.withLock { $0 } }

  public func put(_ item: Item) {
    contents.withLock { $0.append(item) }
  }

  /// What is there as soon as it is `count` items or more, or after a generous wait.
  public func waitFor(_ count: Int) -> [Item] {
    _ = wait { contents.withLock { $0.count >= count } }
    return items
  }
}

/// Random numbers that are the same in every run (SplitMix64).
public struct FixedRandom: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
