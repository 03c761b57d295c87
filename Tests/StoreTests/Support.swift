import Glibc
import SystemIO
import TestSupport

@testable import Store

extension Store {
  /// Performs an operation and waits for how it went.
  @discardableResult
  func run<Value: Sendable>(
    _ operation: @escaping @Sendable (borrowing Transaction) throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    let answer = Mailbox<Result<Value, StoreError>>()
    perform(operation) { answer.put($0) }
    guard let result = answer.waitFor(1).first else { fatalError("the store does not answer") }
    return try result.get()
  }

  /// Keeps the store's thread busy until the returned closure is called, so that what is posted meanwhile is one batch.
  func hold() -> @Sendable () -> Void {
    let gate = Gate()
    perform { _ in
      gate.wait()
    } then: { _ in
    }
    // It must have been taken, or it would be in one batch with what follows.
    _ = TestSupport.wait { self.statistics.waiting == 0 }
    return { gate.open() }
  }
}

/// Holds a thread up.
final class Gate: Sendable {
  private let signals = Mailbox<Void>()

  func open() { signals.put(()) }
  func wait() { _ = signals.waitFor(1) }
}

/// A key or a hash of its own for each number.
func bytes(_ number: Int) -> [UInt8] {
  withUnsafeBytes(of: UInt64(number).bigEndian) { Array(repeating: 7, count: 24) + $0 }
}

let day: Int64 = 24 * 3600

/// The permission bits of a file; `nil` if there is none.
func mode(of path: String) -> UInt32? {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
}

func read(_ path: String) throws -> [UInt8] { try readFile(path, limit: 1 << 24) }

func write(_ bytes: [UInt8], to path: String) {
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  precondition(file >= 0 && bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == bytes.count)
  close(file)
}

/// A `store-writer` at work.
struct Writer: ~Copyable {
  private let process: pid_t
  private let output: CInt
  private var text: [UInt8] = []

  init(_ task: String, _ directory: String) {
    var link = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let length = link.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
    let own = String(decoding: link[..<length], as: UTF8.self)
    let program = own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + "store-writer"

    var ends: [CInt] = [0, 0]
    precondition(pipe(&ends) == 0)
    for end in ends { precondition(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    var arguments = [String(program), task, directory].map { (text: String) in strdup(text) } + [nil]
    var process = pid_t()
    let result = posix_spawn(&process, String(program), &actions, nil, &arguments, environ)
    precondition(result == 0, "\(program) does not start")
    posix_spawn_file_actions_destroy(&actions)
    for argument in arguments { free(argument) }
    close(ends[1])
    self.process = process
    output = ends[0]
  }

  /// Reads until there are `count` lines.
  mutating func read(lines count: Int) {
    while text.count(where: { $0 == UInt8(ascii: "\n") }) < count, readMore() {}
  }

  /// All whole lines that it writes until it ends; `killed`: at once, as by a power cut that spares the kernel.
  consuming func finish(killed: Bool = false) -> [String] {
    if killed { kill(process, SIGKILL) }
    while readMore() {}
    close(output)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    let whole = text.prefix(through: text.lastIndex(of: UInt8(ascii: "\n")) ?? -1)
    return whole.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  private mutating func readMore() -> Bool {
    var part = [UInt8](repeating: 0, count: 4096)
    let count = part.withUnsafeMutableBytes { Glibc.read(output, $0.baseAddress, $0.count) }
    if count > 0 { text += part[..<count] }
    return count > 0 || (count < 0 && errno == EINTR)
  }
}
