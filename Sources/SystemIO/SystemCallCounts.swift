internal import Glibc
internal import Synchronization

// The same seam as in SystemCallFaults.swift, for another question: how often a program calls the system. In debug builds
// alone as well; in others `countCall` is nothing.

/// What a data path calls the system for. The clock is not among it: reading it needs no call.
public enum SystemCall: Sendable, CaseIterable {
  /// Bytes of a socket or a file, or a packet of a TUN.
  case read
  /// Bytes to a file, or a packet to a TUN.
  case write
  /// Bytes to a socket.
  case send
  /// A loop waits for events.
  case wait
  /// A loop is told what to wait for.
  case interest
  /// One thread wakes another, or has been woken.
  case wakeUp
  /// A socket is asked how fast it is, or told how much it may hold.
  case tuning
}

#if SYSTEM_CALL_FAULTS
  /// Counts the system calls of threads. For any thread.
  public final class SystemCallCounts: Sendable {
    /// How many calls there were.
    public struct Tally: Sendable, Equatable {
      fileprivate var calls: [SystemCall: Int] = [:]

      public subscript(call: SystemCall) -> Int { calls[call, default: 0] }

      public var total: Int { calls.values.reduce(0, +) }

      public static func - (now: Tally, before: Tally) -> Tally {
        Tally(calls: now.calls.merging(before.calls, uniquingKeysWith: -))
      }
    }

    private static let ofThreads = ThreadObject<SystemCallCounts>()

    private let tally = Mutex(Tally())

    public init() {}

    /// All that was counted so far.
    public var now: Tally { tally.withLock { $0 } }

    /// Counts what `body` calls, and every thread that it starts for as long as that lives.
    public func run<Result>(_ body: () throws -> Result) rethrows -> Result {
      try Self.ofThreads.with(self, body)
    }

    fileprivate static func count(_ call: SystemCall) {
      ofThreads.value?.tally.withLock { $0.calls[call, default: 0] += 1 }
    }

    /// A thread's body whose calls are counted as those of the thread that makes this.
    static func inherited(_ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
      guard let counts = ofThreads.value else { return body }
      return { counts.run(body) }
    }
  }

  /// An object that each thread has for itself.
  struct ThreadObject<Object: AnyObject>: Sendable {
    private let key: pthread_key_t

    init() {
      var key = pthread_key_t()
      // Called as a thread ends.
      pthread_key_create(&key) { Unmanaged<AnyObject>.fromOpaque($0!).release() }
      self.key = key
    }

    /// The calling thread's.
    var value: Object? {
      pthread_getspecific(key).map { Unmanaged<Object>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Runs `body` with another object.
    func with<Result>(_ object: Object, _ body: () throws -> Result) rethrows -> Result {
      let former = value
      set(object)
      defer { set(former) }
      return try body()
    }

    private func set(_ object: Object?) {
      if let old = pthread_getspecific(key) { Unmanaged<AnyObject>.fromOpaque(old).release() }
      pthread_setspecific(key, object.map { UnsafeRawPointer(Unmanaged.passRetained($0).toOpaque()) })
    }
  }
#endif

/// Says that a system call is being made.
@inline(__always) func countCall(_ call: SystemCall) {
  #if SYSTEM_CALL_FAULTS
    SystemCallCounts.count(call)
  #endif
}
