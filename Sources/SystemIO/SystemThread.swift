internal import CLinux
internal import Glibc

/// A thread with a name, which `top -H` shows.
public final class SystemThread: @unchecked Sendable {
  // Set once; `join` is called by one owner.
  private let handle: pthread_t

  private init(handle: pthread_t) {
    self.handle = handle
  }

  /// Starts a thread that runs `body` and ends with it. The name is cut at 15 bytes.
  public static func start(name: String, _ body: @escaping @Sendable () -> Void) -> SystemThread {
    SystemThread(handle: spawn(name: name, body))
  }

  /// Starts a thread that nobody joins.
  public static func detach(name: String, _ body: @escaping @Sendable () -> Void) {
    pthread_detach(spawn(name: name, body))
  }

  /// Waits until the thread has ended. Once only.
  public func join() {
    pthread_join(handle, nil)
  }

  private static func spawn(name: String, _ body: @escaping @Sendable () -> Void) -> pthread_t {
    var handle = pthread_t()
    let body = withInheritedFaults(body)
    let context = UnsafeMutablePointer<@Sendable () -> Void>.allocate(capacity: 1)
    context.initialize {
      clinux_name_thread(name)
      body()
    }
    let result = pthread_create(
      &handle, nil,
      { context in
        let context = context!.assumingMemoryBound(to: (@Sendable () -> Void).self)
        let body = context.move()
        context.deallocate()
        body()
        return nil
      }, context)
    precondition(result == 0, "the system has no thread left")
    return handle
  }
}
