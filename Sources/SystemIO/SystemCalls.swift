internal import CLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage

// MARK: The one rule for errno

/// Makes a system call that returns -1 and sets errno, again if a signal interrupts it.
///
/// EBADF and EFAULT are bugs of ours and trap; every other error is thrown.
@discardableResult
func checked<Result: FixedWidthInteger>(_ call: () -> Result) throws(Errno) -> Result {
  while true {
    if isInterrupted() { continue }
    let result = call()
    if result != -1 { return result }
    if let error = lastError() { throw error }
  }
}

/// As `checked`, for a call on `descriptor`; `nil` if it would block.
func nonBlocking(_ descriptor: CInt, _ call: () -> Int) throws(Errno) -> Int? {
  while true {
    if isInterrupted() { continue }
    if wouldBlock(descriptor) { return nil }
    let result = call()
    if result != -1 { return result }
    if errno == EAGAIN || errno == EWOULDBLOCK { return nil }
    if let error = lastError() { throw error }
  }
}

/// As `checked`; false if what the call names does not exist.
func unlessMissing(_ call: () -> CInt) throws(Errno) -> Bool {
  do {
    try checked(call)
    return true
  } catch Errno.noSuchFileOrDirectory {
    return false
  }
}

/// The error in errno; `nil` if the call was interrupted.
private func lastError() -> Errno? {
  let error = errno
  if error == EINTR { return nil }
  precondition(error != EBADF && error != EFAULT, "a system call was given a bad descriptor or address")
  return Errno(rawValue: error)
}

/// Turns the result of a CLinux function, a value or -errno, into a value or a thrown error.
@discardableResult
func shim(_ result: CInt) throws(Errno) -> CInt {
  if result < 0 { throw Errno(rawValue: -result) }
  return result
}

/// The text that `fill` writes into `capacity` bytes, up to the first zero byte; `nil` if `fill` fails.
func filledText(_ capacity: Int, by fill: (UnsafeMutablePointer<CChar>) -> Bool) -> String? {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity + 1) { text in
    text.initialize(repeating: 0)
    return fill(text.baseAddress!) ? String(cString: text.baseAddress!) : nil
  }
}

// MARK: - Faults and counts, for tests

/// The system calls that tests count. Reading the clock is none: it needs no call.
public enum SystemCall: Sendable, CaseIterable {
  /// Bytes of a socket or a file, or a packet of a TUN.
  case read
  /// Bytes to a file, or a packet to a TUN.
  case write
  /// Bytes to a socket.
  case send
  /// A loop waits for events.
  case wait
  /// A loop tells the kernel which events it waits for.
  case interest
  /// One thread wakes another, or was woken.
  case wakeUp
  /// Reading or changing what the kernel knows of a connection.
  case tuning
}

// Every call that moves bytes, connections or events asks these functions first. In release builds they do nothing
// (SYSTEM_CALL_FAULTS in Package.swift).

#if SYSTEM_CALL_FAULTS
  /// Makes system calls do less than they were asked, as the kernel may: move only part of the bytes, say that they
  /// would block, or be interrupted by a signal. For any thread.
  ///
  /// Applies to the thread that is in `run` and to threads started from there; or to the whole process, by the
  /// environment variable MNEDC_SYSTEM_CALL_FAULTS, whose value is the seed.
  public final class SystemCallFaults: Sendable {
    /// How often each fault happened.
    public struct Counts: Sendable, Equatable {
      public var shortened = 0
      public var wouldBlock = 0
      public var interrupted = 0
    }

    public static let variable = "MNEDC_SYSTEM_CALL_FAULTS"

    private static let ofProcess: SystemCallFaults? = {
      guard let seed = environmentVariable(variable).flatMap({ UInt64($0) }) else { return nil }
      let line = Array("system calls do less than they were asked, because \(variable) is set\n".utf8)
      // Not `printError`: its call would ask for the faults that are being made here.
      _ = Glibc.write(STDERR_FILENO, line, line.count)
      return SystemCallFaults(seed: seed)
    }()
    @TaskLocal fileprivate static var ofThread: SystemCallFaults?

    static var current: SystemCallFaults? { ofThread ?? ofProcess }

    private let state: Mutex<(seed: UInt64, counts: Counts)>

    /// The same seed makes the same faults, if the threads make the same calls in the same order.
    public init(seed: UInt64) {
      state = Mutex((seed, Counts()))
    }

    public var counts: Counts { state.withLock { $0.counts } }

    /// Runs `body` with these faults, and every thread that it starts for as long as that lives.
    public func run<Result>(_ body: () throws -> Result) rethrows -> Result {
      try Self.$ofThread.withValue(self) { try body() }
    }

    /// True once in `times` calls, and counted.
    fileprivate func chance(_ count: WritableKeyPath<Counts, Int>, oneIn times: UInt64 = 4) -> Bool {
      state.withLock { state in
        guard Self.next(&state.seed) % times == 0 else { return false }
        state.counts[keyPath: count] += 1
        return true
      }
    }

    fileprivate func wouldBlock(_ descriptor: CInt) -> Bool {
      let mode = fcntl(descriptor, F_GETFL)
      guard mode >= 0, mode & O_NONBLOCK != 0 else { return false }
      return switch Self.kind(descriptor) {
      case S_IFSOCK: chance(\.wouldBlock)
      // A packet that the TUN does not take is lost, and too many would stop the network.
      case S_IFCHR: chance(\.wouldBlock, oneIn: 100)
      default: false
      }
    }

    /// Cuts streams alone, because packets and events come whole.
    fileprivate func shorten(_ count: Int, _ descriptor: CInt) -> Int {
      let kind = Self.kind(descriptor)
      guard count > 1, kind == S_IFIFO || kind == S_IFREG || kind == S_IFSOCK && Self.isStream(descriptor),
        chance(\.shortened)
      else { return count }
      return state.withLock { state in
        let longest = Self.next(&state.seed) % 2 == 0 ? 1 : count - 1
        return 1 + Int(Self.next(&state.seed) % UInt64(longest))
      }
    }

    private static func kind(_ descriptor: CInt) -> mode_t {
      var status = stat()
      return fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    private static func isStream(_ socket: CInt) -> Bool {
      var type: CInt = 0
      var length = socklen_t(MemoryLayout<CInt>.size)
      return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == CInt(SOCK_STREAM.rawValue)
    }

    /// SplitMix64.
    private static func next(_ seed: inout UInt64) -> UInt64 {
      seed &+= 0x9E37_79B9_7F4A_7C15
      var mixed = seed
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// Counts the system calls of threads. For any thread.
  public final class SystemCallCounts: Sendable {
    public struct Tally: Sendable, Equatable {
      fileprivate var calls: [SystemCall: Int] = [:]

      public subscript(call: SystemCall) -> Int { calls[call, default: 0] }

      public var total: Int { calls.values.reduce(0, +) }

      public static func - (now: Tally, before: Tally) -> Tally {
        Tally(calls: now.calls.merging(before.calls, uniquingKeysWith: -))
      }
    }

    @TaskLocal fileprivate static var ofThread: SystemCallCounts?

    private let tally = Mutex(Tally())

    public init() {}

    /// The calls counted so far.
    public var now: Tally { tally.withLock { $0 } }

    /// Counts what `body` calls, and every thread that it starts for as long as that lives.
    public func run<Result>(_ body: () throws -> Result) rethrows -> Result {
      try Self.$ofThread.withValue(self) { try body() }
    }

    fileprivate func add(_ call: SystemCall) {
      tally.withLock { $0.calls[call, default: 0] += 1 }
    }
  }

  /// Whether a call counts as interrupted before it was made.
  func isInterrupted() -> Bool { SystemCallFaults.current?.chance(\.interrupted) ?? false }

  /// Whether a call counts as one that would have blocked.
  func wouldBlock(_ descriptor: CInt) -> Bool { SystemCallFaults.current?.wouldBlock(descriptor) ?? false }

  /// How many of `count` bytes a call may move.
  func allowed(_ count: Int, by descriptor: CInt) -> Int {
    SystemCallFaults.current?.shorten(count, descriptor) ?? count
  }

  /// Makes `call` with as many of the pieces as it may move, the last of them cut to fit.
  func withAllowed(
    _ pieces: UnsafeMutableBufferPointer<iovec>, by descriptor: CInt, _ call: (UnsafeMutableBufferPointer<iovec>) -> Int
  ) -> Int {
    var left = allowed(pieces.reduce(0) { $0 + $1.iov_len }, by: descriptor)
    guard
      let last = pieces.indices.first(where: { index in
        guard pieces[index].iov_len < left else { return true }
        left -= pieces[index].iov_len
        return false
      })
    else { return call(pieces) }
    let whole = pieces[last].iov_len
    pieces[last].iov_len = left
    defer { pieces[last].iov_len = whole }
    return call(UnsafeMutableBufferPointer(rebasing: pieces[...last]))
  }

  func countCall(_ call: SystemCall) { SystemCallCounts.ofThread?.add(call) }

  /// A thread's body with the faults and counts of the thread that calls this.
  func withInheritedFaults(_ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    let (faults, counts) = (SystemCallFaults.ofThread, SystemCallCounts.ofThread)
    return {
      SystemCallFaults.$ofThread.withValue(faults) { SystemCallCounts.$ofThread.withValue(counts, operation: body) }
    }
  }
#else
  @inline(__always) func isInterrupted() -> Bool { false }
  @inline(__always) func wouldBlock(_ descriptor: CInt) -> Bool { false }
  @inline(__always) func allowed(_ count: Int, by descriptor: CInt) -> Int { count }
  @inline(__always) func withAllowed(
    _ pieces: UnsafeMutableBufferPointer<iovec>, by descriptor: CInt, _ call: (UnsafeMutableBufferPointer<iovec>) -> Int
  ) -> Int { call(pieces) }
  @inline(__always) func countCall(_ call: SystemCall) {}
  @inline(__always) func withInheritedFaults(_ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void { body }
#endif
