import Glibc
import SystemIO
import TestSupport

@testable import Store

extension SQLiteStore {
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
func storeWriter(_ task: String, _ directory: borrowing TemporaryDirectory) -> OtherProgram {
  OtherProgram(named: "store-writer", [task, directory.path])
}
