internal import CLinux
internal import Glibc
internal import Synchronization
public import SystemPackage

/// A flag that an event loop or a thread can wait for (eventfd): up from `raise` until `lower`. From any thread.
public struct WakeUp: ~Copyable, Sendable {
  /// Readable for as long as the flag is up.
  public let descriptor: Descriptor

  /// Makes a flag that is down.
  public init() throws(Errno) {
    descriptor = try Descriptor { eventfd(0, CInt(EFD_NONBLOCK | EFD_CLOEXEC)) }
  }

  public borrowing func raise() {
    var one: UInt64 = 1
    countCall(.wakeUp)
    _ = Glibc.write(descriptor.raw, &one, 8)
  }

  public borrowing func lower() {
    var count: UInt64 = 0
    countCall(.wakeUp)
    _ = Glibc.read(descriptor.raw, &count, 8)
  }

  /// Waits until the flag is up; false once `deadline` has passed.
  public borrowing func wait(until deadline: Instant) -> Bool {
    do {
      return try descriptor.wait(for: .readable, until: deadline)
    } catch {
      preconditionFailure("poll failed: \(error)")
    }
  }
}

/// A value that one thread finds out while another waits for it. A loop's thread waits only where it could do nothing
/// else.
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

  /// Waits for the value; `nil` if `deadline` passes first.
  public func wait(until deadline: Instant) -> Value? {
    _ = isThere.wait(until: deadline)
    return value.withLock { $0 }
  }

  /// Waits for the value, however long that takes.
  public func wait() -> Value {
    while true {
      if let value = wait(until: Instant.now().advanced(by: .seconds(3600))) { return value }
    }
  }
}
