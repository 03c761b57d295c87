internal import CLinux
internal import Glibc
internal import SystemIO

/// A program that a test runs beside itself. `finish` is for every one of them, and kills it a generous time after its
/// start.
///
/// It starts as from a shell: of the signals, most of which the threads of tests block, none is blocked, standard input
/// is empty, and what it writes, errors among it, is for the test. A crash ends it at once, with no backtrace.
public struct OtherProgram: ~Copyable {
  /// How it ended: with an exit status, or by a signal.
  public enum End: Equatable, Sendable {
    case exited(CInt)
    case killed(by: CInt)
  }

  /// How it ended, and all that it wrote until then.
  public struct Outcome: Sendable {
    public let end: End
    public let output: String

    /// The lines that it wrote whole.
    public var lines: [String] {
      output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
  }

  private let process: pid_t
  private let end: ProcessEnd
  private let deadline = Instant.now().advanced(by: generousWait)
  private let pipe: Descriptor
  private let buffer = RawBuffer(count: 4096)
  private var output: [UInt8] = []

  /// Starts the program at `path`.
  public init(_ path: String, _ arguments: [String]) {
    var ends: [CInt] = [0, 0]
    precondition(clinux_pipe(&ends) == 0, "there is no pipe")
    pipe = Descriptor(owning: ends[0])
    let output = Descriptor(owning: ends[1])

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    for standard in [STDOUT_FILENO, STDERR_FILENO] { posix_spawn_file_actions_adddup2(&actions, output.raw, standard) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    let words = ([path] + arguments).map { (word: String) in strdup(word) } + [nil]
    let environment = Self.environment.map { (variable: String) in strdup(variable) } + [nil]
    defer { for text in words + environment { free(text) } }
    var process = pid_t()
    let result = posix_spawn(&process, path, &actions, &attributes, words, environment)
    guard result == 0, let end = try? ProcessEnd(of: process) else { preconditionFailure("\(path) does not start") }
    self.process = process
    self.end = end
  }

  /// Starts the program of this package that has this name, which is built beside the tests.
  public init(named name: String, _ arguments: [String]) {
    var link = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let length = link.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
    let own = String(decoding: link.prefix(max(0, length)), as: UTF8.self)
    self.init(own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + name, arguments)
  }

  /// Waits until it has written `count` lines, or will write no more.
  public mutating func read(lines count: Int) {
    while output.count(where: { $0 == UInt8(ascii: "\n") }) < count, readMore() {}
  }

  /// Waits for its end; `killed`: which comes at once, as by a power cut that spares the kernel.
  public consuming func finish(killed: Bool = false) -> Outcome {
    if killed { kill(process, SIGKILL) }
    while readMore() {}
    if (try? end.wait(until: deadline)) != true { kill(process, SIGKILL) }
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    let signal = status & 0x7F
    return Outcome(
      end: signal == 0 ? .exited(status >> 8) : .killed(by: signal), output: String(decoding: output, as: UTF8.self))
  }

  /// False: it has closed its output, or had its time.
  private mutating func readMore() -> Bool {
    guard (try? pipe.wait(for: .readable, until: deadline)) == true else { return false }
    guard let count = try? pipe.read(into: buffer.bytes) else { return false }
    output += buffer.bytes[..<count]
    return count > 0
  }

  /// This process's, but for what it says about crashes.
  private static var environment: [String] {
    var variables: [String] = []
    var next = environ
    while let variable = next.pointee {
      variables.append(String(cString: variable))
      next += 1
    }
    return variables.filter { !$0.hasPrefix("SWIFT_BACKTRACE=") } + ["SWIFT_BACKTRACE=enable=no"]
  }
}
