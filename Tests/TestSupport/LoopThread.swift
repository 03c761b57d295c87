public import SystemIO

/// An event loop that runs on a thread of its own until `stop`.
public final class LoopThread: Sendable {
  public let loop: EventLoop
  private let thread: SystemThread

  public init(name: String = "test-loop") throws {
    let loop = try EventLoop()
    self.loop = loop
    thread = SystemThread.start(name: name) { loop.run() }
  }

  /// Runs `body` on the loop's thread and waits for what it returns; `nil` after a generous wait.
  @discardableResult
  public func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) -> Result? {
    let answer = Mailbox<Result>()
    loop.post { answer.put(body()) }
    return answer.waitFor(1).first
  }

  /// Ends the loop and waits for its thread. Once only.
  public func stop() {
    loop.stop()
    thread.join()
  }
}
