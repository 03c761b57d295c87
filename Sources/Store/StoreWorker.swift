internal import SystemIO

/// What the store's thread does: takes all operations that wait, carries them out in one transaction, and tells who posted
/// them.
final class StoreWorker: Sendable {
  // Set once. The file is closed, and the lock released, as the thread ends and lets go of this.
  private let connection: Connection
  private let queue: OperationQueue
  private let lock: FileLock

  init(connection: Connection, queue: OperationQueue, lock: consuming FileLock) {
    self.connection = connection
    self.queue = queue
    self.lock = lock
  }

  func run() {
    while let operations = queue.next() { carryOut(operations) }
  }

  private func carryOut(_ operations: [PostedOperation]) {
    let changesBefore = connection.changedRows
    do throws(StoreError) {
      let outcomes = try connection.transaction { () throws(StoreError) in
        let transaction = Transaction(connection: connection)
        var outcomes: [() -> Void] = []
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
      for tell in outcomes { tell() }
    } catch {
      queue.count {
        $0.operations += operations.count
        $0.transactions += 1
        $0.failures += 1
      }
      for operation in operations { operation.refuse(error) }
    }
  }
}
