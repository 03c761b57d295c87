internal import CLinux
public import SystemPackage

/// The end of a process of this host, whoever started it, to wait for (pidfd_open(2)).
public struct ProcessEnd: ~Copyable, Sendable {
  private let descriptor: Descriptor

  /// Watches the process of that number. Throws ESRCH if there is none, and ENOSYS before Linux 5.3.
  public init(of process: Int32) throws(Errno) {
    descriptor = Descriptor(owning: try shim(clinux_process_descriptor(process)))
  }

  /// Waits for it, at most until `deadline`. False: the time is up.
  public borrowing func wait(until deadline: Instant) throws(Errno) -> Bool {
    try descriptor.wait(for: .readable, until: deadline)
  }
}
