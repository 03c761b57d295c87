internal import CLinux
internal import Glibc

/// A thread of our own, with a name that `top -H` shows.
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

  /// Starts a thread that nobody waits for.
  public static func detach(name: String, _ body: @escaping @Sendable () -> Void) {
    pthread_detach(spawn(name: name, body))
  }

  /// Waits until the thread has ended. Once only.
  public func join() {
    pthread_join(handle, nil)
  }

  private final class Body {
    let name: String
    let run: @Sendable () -> Void

    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  private static func spawn(name: String, _ body: @escaping @Sendable () -> Void) -> pthread_t {
    var handle = pthread_t()
    let context = Unmanaged.passRetained(Body(name: name, run: withSeamOfThisThread(body))).toOpaque()
    let result = pthread_create(
      &handle, nil,
      { context in
        let body = Unmanaged<Body>.fromOpaque(context!).takeRetainedValue()
        clinux_name_thread(body.name)
        body.run()
        return nil
      }, context)
    precondition(result == 0, "the system has no thread left")
    return handle
  }
}

/// How many cores this process may use: those of its affinity mask, which a container's or a unit's CPU set narrows.
public func usableCores() -> Int {
  let allowed = Int(clinux_usable_cores())
  return allowed > 0 ? allowed : max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
}
