// An admission and its lease are one transaction on this thread, so they are on disk before the device hears of them.
// The thread batches the writes of all waiting admissions; the data path never waits for a disk.

internal import Synchronization
internal import SystemIO
internal import SystemPackage

/// The loop of the store's thread: takes all operations that wait, runs them in one transaction, and reports the
/// results.
final class StoreWorker: Sendable {
  // Set once. The end of the thread releases them, which closes the file and then the lock.
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

  /// How long after the last commit the log is written into the file, and how long after an attempt that another reader
  /// of the file has prevented in part.
  private static let idleTime = Duration.seconds(1)
  private static let retryTime = Duration.seconds(30)

  func run() {
    var isFailing = false
    // A killed process may have left a log.
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
      // Also between read operations, which may come without a pause.
      if let deadline = logDeadline, Instant.now() >= deadline {
        logDeadline = connection.emptyLog() ? nil : Instant.now().advanced(by: Self.retryTime)
      }
    }
  }

  /// Returns the health that the transaction shows; `nil` if it wrote nothing. A commit moves `logDeadline`.
  private func carryOut(_ operations: [PostedOperation], _ logDeadline: inout Instant?) -> StoreHealth? {
    let changesBefore = connection.changedRows
    do throws(StoreError) {
      let outcomes = try connection.transaction { () throws(StoreError) in
        let records = SQLiteRecords(connection: connection)
        var outcomes: [PostedOperation.Outcome] = []
        for operation in operations {
          outcomes.append(operation.carryOut(records))
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

/// An operation that waits for the store's thread.
struct PostedOperation: Sendable {
  /// Runs the operation within the open transaction.
  let carryOut: @Sendable (SQLiteRecords) -> Outcome
  /// Reports that the transaction failed.
  let refuse: @Sendable (StoreError) -> Void

  struct Outcome {
    let error: StoreError?
    /// Reports the result; to be called after the commit.
    let tell: () -> Void
  }
}

/// The operations that wait, at most `limit`. For any thread; `next` and `count` belong to the store's thread.
final class OperationQueue: Sendable {
  // Set once.
  private let limit: Int
  private let hasNews: WakeUp

  // Guarded by its lock.
  private let state = Mutex(State())

  private struct State {
    var waiting: [PostedOperation] = []
    var isClosed = false
    var statistics = StoreStatistics()
  }

  init(limit: Int) throws(Errno) {
    self.limit = limit
    hasNews = try WakeUp()
  }

  /// Adds an operation, or says why not.
  func post(_ operation: PostedOperation) -> StoreError? {
    let (error, isFirst) = state.withLock { state -> (StoreError?, Bool) in
      if state.isClosed { return (.closed, false) }
      if state.waiting.count >= limit { return (.busy, false) }
      state.waiting.append(operation)
      return (nil, state.waiting.count == 1)
    }
    if isFirst { hasNews.raise() }
    return error
  }

  func close() {
    state.withLock { $0.isClosed = true }
    hasNews.raise()
  }

  /// Waits for operations and takes all of them; empty if there are none until `deadline`, `nil` once the queue is
  /// closed.
  func next(until deadline: Instant?) -> [PostedOperation]? {
    while true {
      let (operations, isClosed) = state.withLock { state in
        defer { state.waiting = [] }
        return (state.waiting, state.isClosed)
      }
      if !operations.isEmpty { return operations }
      if isClosed { return nil }
      guard hasNews.wait(until: deadline ?? Instant.now().advanced(by: .seconds(3600))) else { return [] }
      hasNews.lower()
    }
  }

  var statistics: StoreStatistics {
    state.withLock { state in
      var statistics = state.statistics
      statistics.waiting = state.waiting.count
      return statistics
    }
  }

  func count(_ change: (inout StoreStatistics) -> Void) {
    state.withLock { change(&$0.statistics) }
  }
}
