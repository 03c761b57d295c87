internal import Synchronization
public import SystemPackage

/// What another thread finds out, for one thread that waits for it; a loop's thread only where nothing else can be done meanwhile.
public final class PendingValue<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let isThere: WakeUp

  public init() throws(Errno) {
    isThere = try WakeUp()
  }

  /// Once. From any thread.
  public func put(_ value: Value) {
    self.value.withLock { $0 = value }
    isThere.raise()
  }

  /// The value, as soon as it is there; `nil` if that is not before `deadline`.
  public func wait(until deadline: Instant) -> Value? {
    while true {
      if let value = value.withLock({ $0 }) { return value }
      guard isThere.wait(until: deadline) else { return value.withLock { $0 } }
    }
  }

  /// The value, however long that takes.
  public func wait() -> Value {
    while true {
      if let value = wait(until: Instant.now().advanced(by: .seconds(3600))) { return value }
    }
  }
}
