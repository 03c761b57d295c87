// An admission and its lease are one transaction on this thread, so they are on disk before the device hears of them.
// The thread batches the writes of all waiting admissions; the data path never waits for a disk.

internal import SystemIO

/// What the store's thread does: takes all operations that wait, carries them out in one transaction, and tells who posted
/// them.
final class StoreWorker: Sendable {
  // Set once. The file is closed, and the lock released, as the thread ends and lets go of this.
  private let connection: SQLiteConnection
  private let queue: OperationQueue
  private let lock: FileLock
  private let onHealth: @Sendable (StoreHealth) -> Void

  init(
    connection: SQLiteConnection, queue: OperationQueue, lock: consuming FileLock,
    onHealth: @escaping @Sendable (StoreHealth) -> Void
  ) {
    self.connection = connection
    self.queue = queue
    self.lock = lock
    self.onHealth = onHealth
  }

  /// When nothing has been committed for so long, the log is written into the file, so that a copy of the file alone
  /// holds everything. If another reader of the file prevents that in part, the next try comes after a longer time.
  private static let idleTime = Duration.seconds(1)
  private static let retryTime = Duration.seconds(30)

  func run() {
    var isFailing = false
    // A process that was killed may have left a log.
    var logDeadline: Instant? = Instant.now().advanced(by: Self.idleTime)
    while let operations = queue.next(until: logDeadline) {
      switch operations.isEmpty ? nil : carryOut(operations, &logDeadline) {
      case .failing(let error):
        if !isFailing { onHealth(.failing(error)) }
        isFailing = true
      case .working(let path):
        if isFailing { onHealth(.working(path)) }
        isFailing = false
      case nil: break
      }
      // Also between operations that only read, which may come without a pause.
      if let deadline = logDeadline, Instant.now() >= deadline {
        logDeadline = connection.emptyLog() ? nil : Instant.now().advanced(by: Self.retryTime)
      }
    }
  }

  /// What the transaction shows of the file: nothing if nothing was to be written. A commit moves `logDeadline`.
  private func carryOut(_ operations: [PostedOperation], _ logDeadline: inout Instant?) -> StoreHealth? {
    let changesBefore = connection.changedRows
    do throws(StoreError) {
      let outcomes = try connection.transaction { () throws(StoreError) in
        let transaction = Transaction(connection: connection)
        var outcomes: [PostedOperation.Outcome] = []
        for operation in operations {
          outcomes.append(operation.carryOut(transaction))
          try connection.checkTransaction()
        }
        return outcomes
      }
      let hasWritten = connection.changedRows != changesBefore
      if hasWritten { logDeadline = Instant.now().advanced(by: Self.idleTime) }
      queue.count {
        $0.operations += operations.count
        $0.transactions += 1
        $0.writes += hasWritten ? 1 : 0
      }
      for outcome in outcomes { outcome.tell() }
      if let error = outcomes.lazy.compactMap(\.error).first(where: \.isOfFile) { return .failing(error) }
      return hasWritten ? .working(connection.path) : nil
    } catch {
      queue.count {
        $0.operations += operations.count
        $0.transactions += 1
        $0.failures += 1
      }
      for operation in operations { operation.refuse(error) }
      return error.isOfFile ? .failing(error) : nil
    }
  }
}
