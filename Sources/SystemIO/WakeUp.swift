internal import CLinux
internal import Glibc
public import SystemPackage

/// A flag that an event loop or a thread can wait for (eventfd): up from `raise` until `lower`. From any thread.
public struct WakeUp: ~Copyable, Sendable {
  /// Readable for as long as the flag is up.
  public let descriptor: Descriptor

  /// Makes a flag that is down.
  public init() throws(Errno) {
    descriptor = Descriptor(owning: try checked { eventfd(0, CInt(EFD_NONBLOCK | EFD_CLOEXEC)) })
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
    while true {
      var request = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
      let left = deadline.since(.now()).nanoseconds
      let result = poll(&request, 1, CInt(clamping: (left + 999_999) / 1_000_000))
      if result > 0 { return true }
      if result == 0, left == 0 { return false }
      precondition(result == 0 || errno == EINTR, "poll failed")
    }
  }
}
