internal import CLinux
internal import Glibc
public import SystemPackage

/// Lets the calling thread rest. A loop's thread never does.
public func sleep(for time: Duration) {
  var left = timespec(tv_sec: Int(time.nanoseconds / 1_000_000_000), tv_nsec: Int(time.nanoseconds % 1_000_000_000))
  var rest = timespec()
  while nanosleep(&left, &rest) < 0, errno == EINTR { left = rest }
}

extension Descriptor {
  /// Waits until the descriptor is ready for one of `events`, or at most until `deadline`. False: the time is up. For
  /// programs that have nothing else to do; a loop's thread never waits like this.
  public borrowing func wait(for events: Events, until deadline: Instant) throws(Errno) -> Bool {
    var request = pollfd(fd: raw, events: 0, revents: 0)
    if events.contains(.readable) { request.events |= Int16(POLLIN) }
    if events.contains(.writable) { request.events |= Int16(POLLOUT) }
    while true {
      if isInterrupted() { continue }
      let left = deadline.since(.now()).nanoseconds
      let result = poll(&request, 1, CInt(clamping: (left + 999_999) / 1_000_000))
      if result > 0 { return true }
      if result == 0 { return false }
      guard errno == EINTR else { throw Errno(rawValue: errno) }
    }
  }
}
