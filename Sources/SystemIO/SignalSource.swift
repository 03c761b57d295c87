internal import CLinux
internal import Glibc
public import SystemPackage

/// Signals read as events (signalfd) instead of interrupting a thread anywhere.
public final class SignalSource: EventHandler {
  // Owned by the loop's thread.
  private let descriptor: Descriptor
  private let body: (CInt) -> Void

  /// Blocks `signals` for the calling thread and every thread started after it, and calls `body` on `loop` for each that
  /// comes. Must be made on the main thread before any other thread.
  public init(_ signals: [CInt], on loop: EventLoop, _ body: @escaping (CInt) -> Void) throws(Errno) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    descriptor = Descriptor(
      owning: try checked { signalfd(-1, &set, CInt(SFD_NONBLOCK | SFD_CLOEXEC)) })
    self.body = body
    _ = try loop.register(descriptor, for: .readable, handler: self)
  }

  public func handle(_ events: Events) {
    var info = signalfd_siginfo()
    while (try? withUnsafeMutableBytes(of: &info, { try descriptor.read(into: $0) }))
      == .some(
        MemoryLayout<signalfd_siginfo>.size)
    {
      body(CInt(info.ssi_signo))
    }
  }

  public static let interrupt = SIGINT
  public static let terminate = SIGTERM
  public static let reload = SIGHUP
}
