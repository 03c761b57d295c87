internal import CLinux
internal import Glibc
internal import Synchronization

// A seam for tests, at every call by which bytes, connections or events come and go: what may happen at any time but hardly
// does on an idle machine is made to happen often. Debug builds alone have it (SYSTEM_CALL_FAULTS in Package.swift); in
// others the functions at the end of this file are what they stand for, and nothing more.

#if SYSTEM_CALL_FAULTS
  /// Makes system calls do less than they were asked, as the system may: move only part of the bytes, say that they would
  /// block, or be interrupted by a signal. For any thread.
  ///
  /// It holds for the thread that is in `run` and for those started from there; or for the whole process, by the environment
  /// variable MNEDC_SYSTEM_CALL_FAULTS, whose value is the seed.
  public final class SystemCallFaults: Sendable {
    /// How often what happened.
    public struct Counts: Sendable, Equatable {
      /// Calls that were to move only part of the bytes.
      public var shortened = 0
      public var wouldBlock = 0
      public var interrupted = 0
    }

    private let state: Mutex<(seed: UInt64, counts: Counts)>

    public static let variable = "MNEDC_SYSTEM_CALL_FAULTS"

    /// What happens is the same for the same seed, as far as the threads make the same calls in the same order.
    public init(seed: UInt64) {
      state = Mutex((seed, Counts()))
    }

    public var counts: Counts { state.withLock { $0.counts } }

    /// Runs `body` with these faults, and every thread that it starts for as long as that lives.
    public func run<Result>(_ body: () throws -> Result) rethrows -> Result {
      try Self.ofThreads.with(self, body)
    }

    // MARK: Which faults

    /// Those that hold for the calling thread.
    static var current: SystemCallFaults? { onThisThread ?? ofProcess }

    private static let ofProcess: SystemCallFaults? = {
      guard let seed = environmentVariable(variable).flatMap({ UInt64($0) }) else { return nil }
      let line = Array("system calls do less than they were asked, because \(variable) is set\n".utf8)
      // Not `printError`, whose call asks for the faults that are being made here.
      _ = Glibc.write(STDERR_FILENO, line, line.count)
      return SystemCallFaults(seed: seed)
    }()

    private static let ofThreads = ThreadObject<SystemCallFaults>()

    fileprivate static var onThisThread: SystemCallFaults? { ofThreads.value }

    // MARK: What happens

    /// True once in so many times, and counted.
    private func chance(_ count: WritableKeyPath<Counts, Int>, oneIn times: UInt64 = 4) -> Bool {
      state.withLock { state in
        guard Self.next(&state.seed) % times == 0 else { return false }
        state.counts[keyPath: count] += 1
        return true
      }
    }

    fileprivate func isInterrupted() -> Bool { chance(\.interrupted) }

    fileprivate func wouldBlock(_ descriptor: CInt) -> Bool {
      let mode = fcntl(descriptor, F_GETFL)
      guard mode >= 0, mode & O_NONBLOCK != 0 else { return false }
      return switch Self.kind(descriptor) {
      case S_IFSOCK: chance(\.wouldBlock)
      // A packet that an interface does not take is lost, and too many would be no network any more.
      case S_IFCHR: chance(\.wouldBlock, oneIn: 100)
      default: false
      }
    }

    /// From one byte to nearly all of them, of what is a stream: packets and events come whole.
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
#endif

// MARK: - Where calls are made

/// Whether a call is to be taken for interrupted before it was made.
@inline(__always) func isInterrupted() -> Bool {
  #if SYSTEM_CALL_FAULTS
    SystemCallFaults.current?.isInterrupted() ?? false
  #else
    false
  #endif
}

/// Whether a call is to be taken for one that would have blocked.
@inline(__always) func wouldBlock(_ descriptor: CInt) -> Bool {
  #if SYSTEM_CALL_FAULTS
    SystemCallFaults.current?.wouldBlock(descriptor) ?? false
  #else
    false
  #endif
}

/// How many of `count` bytes a call may move.
@inline(__always) func allowed(_ count: Int, by descriptor: CInt) -> Int {
  #if SYSTEM_CALL_FAULTS
    SystemCallFaults.current?.shorten(count, descriptor) ?? count
  #else
    count
  #endif
}

/// Makes `call` with as many of the pieces as it may move, the last of them cut to fit.
@inline(__always) func withAllowed(
  _ pieces: UnsafeMutableBufferPointer<iovec>, by descriptor: CInt, _ call: (UnsafeMutableBufferPointer<iovec>) -> Int
) -> Int {
  #if SYSTEM_CALL_FAULTS
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
  #else
    return call(pieces)
  #endif
}

/// A thread's body that has the faults of the thread that makes this, and is counted with it.
@inline(__always) func withSeamOfThisThread(_ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
  #if SYSTEM_CALL_FAULTS
    let counted = SystemCallCounts.inherited(body)
    guard let faults = SystemCallFaults.onThisThread else { return counted }
    return { faults.run(counted) }
  #else
    return body
  #endif
}
