internal import SystemIO

/// What the store's thread does: takes all operations that wait, carries them out in one transaction, and tells who posted
/// them.
final class StoreWorker: Sendable {
  // Set once. The file is closed, and the lock released, as the thread ends and lets go of this.
  private let connection: Connection
  private let queue: OperationQueue
  private let lock: FileLock
  private let onHealth: @Sendable (StoreHealth) -> Void

  init(
    connection: Connection, queue: OperationQueue, lock: consuming FileLock,
    onHealth: @escaping @Sendable (StoreHealth) -> Void
  ) {
    self.connection = connection
    self.queue = queue
    self.lock = lock
    self.onHealth = onHealth
  }

  /// When nothing has waited for so long, the log is written into the file, which a copy of the file alone has to hold.
  /// Where not all of it could be, that is tried again after a longer time.
  private static let idleTime = Duration.seconds(1)
  private static let retryTime = Duration.seconds(30)

  func run() {
    var isFailing = false
    // A process that was killed may have left a log.
    var time = Self.idleTime
    while let operations = queue.next(within: time) {
      guard !operations.isEmpty else {
        if time != Self.endless { time = connection.emptyLog() ? Self.endless : Self.retryTime }
        continue
      }
      switch carryOut(operations, &time) {
      case .failing(let error):
        if !isFailing { onHealth(.failing(error)) }
        isFailing = true
      case .working(let path):
        if isFailing { onHealth(.working(path)) }
        isFailing = false
      case nil: break
      }
    }
  }

  private static let endless = Duration.seconds(365 * 86_400)

  /// What the transaction shows of the file: nothing if nothing was to be written.
  private func carryOut(_ operations: [PostedOperation], _ time: inout Duration) -> StoreHealth? {
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
      if hasWritten { time = Self.idleTime }
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
