internal import CLinux
internal import Glibc
public import SystemPackage

/// What a process in the background sees of the one in the foreground that has started it (`BackgroundProcess`) and waits
/// until it is ready.
public final class Foreground: EventHandler {
  // Owned by the loop's thread.
  private let pipe = Descriptor(owning: BackgroundProcess.pipeNumber)
  private let events: EventLoop
  private let onGone: () -> Void
  private var registration: Registration?

  /// Whether this process is in the background and somebody waits for it. To be asked once, at the start, since it hides
  /// the mark.
  public static func isWaiting() -> Bool {
    guard getenv(BackgroundProcess.variable) != nil else { return false }
    unsetenv(BackgroundProcess.variable)
    _ = fcntl(BackgroundProcess.pipeNumber, F_SETFD, FD_CLOEXEC)
    // What whoever started the program had open, a lock perhaps, is not for a process that lives on.
    clinux_close_from(UInt32(BackgroundProcess.pipeNumber) + 1)
    return true
  }

  /// `onGone` is called on `loop` if the waiting process ends before this one is ready. Once only, after `isWaiting`.
  public init(on loop: EventLoop, _ onGone: @escaping () -> Void) throws(Errno) {
    events = loop
    self.onGone = onGone
    // Nothing is wanted of the pipe: that its other end is gone is told in any case.
    registration = try loop.register(pipe, for: [], handler: self)
  }

  public func handle(_ events: Events) {
    release()
    onGone()
  }

  /// Lets the waiting process end well with `line` as its output, and lets go of the standard error shared with it.
  public func becomeReady(_ line: String) {
    release()
    var rest = Array((line + "\n").utf8)[...]
    while !rest.isEmpty, let count = rest.withUnsafeBytes({ try? pipe.write($0) }) { rest = rest.dropFirst(count) }
    let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
    if nowhere >= 0 {
      dup2(nowhere, STDERR_FILENO)
      close(nowhere)
    }
    _ = chdir("/")
  }

  private func release() {
    if let registration { events.deregister(pipe, registration) }
    registration = nil
  }
}
