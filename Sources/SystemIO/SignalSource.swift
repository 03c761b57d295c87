internal import CLinux
internal import Glibc
public import SystemPackage

/// The signals that a program listens to.
public enum Signal: CInt, Sendable, CaseIterable {
  case hangup = 1
  case interrupt = 2
  case terminate = 15
  /// The terminal has another size.
  case windowChange = 28
}

/// Signals read as events (signalfd), which interrupt no thread.
public final class SignalSource: EventHandler {
  // Owned by the loop's thread.
  private let descriptor: Descriptor
  private let body: (Signal) -> Void

  /// Blocks `signals` for the calling thread and every thread started after it, and calls `body` on `loop` for each
  /// that comes. Make it on the main thread before any other thread.
  public init(_ signals: [Signal], on loop: EventLoop, _ body: @escaping (Signal) -> Void) throws(Errno) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal.rawValue) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    descriptor = try Descriptor { signalfd(-1, &set, CInt(SFD_NONBLOCK | SFD_CLOEXEC)) }
    self.body = body
    _ = try loop.register(descriptor, for: .readable, handler: self)
  }

  public func handle(_ events: Events) {
    var info = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    while withUnsafeMutableBytes(of: &info, { try? descriptor.read(into: $0) }) == size {
      if let signal = Signal(rawValue: CInt(info.ssi_signo)) { body(signal) }
    }
  }
}
