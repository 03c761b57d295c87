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

  func run() {
    var isFailing = false
    while let operations = queue.next() {
      switch carryOut(operations) {
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

  /// What the transaction shows of the file: nothing if nothing was to be written.
  private func carryOut(_ operations: [PostedOperation]) -> StoreHealth? {
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
