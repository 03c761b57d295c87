internal import Synchronization
internal import SystemIO
internal import SystemPackage

/// What the relay remembers through restarts: one SQLite file, `relay.db` in the state directory (mode 0600).
///
/// Operations are posted by any thread and carried out by one thread of the store's own, in the order in which they come,
/// so that nobody else ever waits for the disk. All that wait form one transaction and share its fsync; each is whole by
/// itself, so one that fails undoes nothing of the others. Who posted one is told once it lasts.
///
/// One process has the store at a time, by a lock (flock) on `relay.lock` that the kernel releases however the process
/// ends. SQLite's own exclusive mode would do the same, but only once the file is opened, and it would keep out
/// programs that read it for a copy (`sqlite3 relay.db .backup`).
///
/// Commits are in a log beside the file. It is written into the file whenever nothing has been committed for a second,
/// so that a copy of the file alone, made then, holds all of them.
public final class SQLiteStore: Sendable {
  // Set once.
  let directory: String
  private let queue: OperationQueue

  // Guarded by its lock.
  private let thread: Mutex<SystemThread?>

  /// Opens the store of `directory`, which must be there; makes its file if there is none. Reads the whole file once.
  ///
  /// At most `queueLimit` operations wait at a time. The store's thread calls `onHealth` when writing begins to fail
  /// and when it works again; the callback must not block.
  public convenience init(
    directory: String, queueLimit: Int = 4096, onHealth: @escaping @Sendable (StoreHealth) -> Void = { _ in }
  ) throws(StoreError) {
    try self.init(directory: directory, queueLimit: queueLimit, schema: .current, onHealth: onHealth)
  }

  init(
    directory: String, queueLimit: Int = 4096, schema: SQLiteSchema,
    onHealth: @escaping @Sendable (StoreHealth) -> Void = { _ in }
  ) throws(StoreError) {
    let lock = try Self.lock(directory)
    let connection = try SQLiteConnection.open(in: directory, schema: schema)
    let queue: OperationQueue
    do {
      queue = try OperationQueue(limit: queueLimit)
    } catch {
      throw .failed(connection.path, detail: "there is nothing to wait with: \(error)")
    }
    self.directory = directory
    self.queue = queue
    let worker = StoreWorker(connection: connection, queue: queue, lock: lock, onHealth: onHealth)
    thread = Mutex(SystemThread.start(name: "store") { worker.run() })
  }

  deinit {
    close()
  }

  private static func lock(_ directory: String) throws(StoreError) -> FileLock {
    let path = "\(directory)/relay.lock"
    do {
      if let lock = try FileLock.take(path) { return lock }
    } catch Errno.noSuchFileOrDirectory, Errno.notDirectory {
      throw .noDirectory(directory)
    } catch Errno.noSpace {
      throw .diskFull(path)
    } catch {
      throw .noAccess(path, error)
    }
    throw .inUse("\(directory)/\(SQLiteConnection.fileName)", process: FileLock.holder(of: path))
  }

  /// Posts an operation, which may read, change or both. From any thread; the operations of one thread keep their order.
  ///
  /// `operation` runs on the store's thread, with nothing in between by others; what it throws undoes all of it. `then` is
  /// called once: on the store's thread when the operation has been committed, or has failed; at once and on the calling
  /// thread, with `busy` or `closed`, if it is not taken. If the commit itself fails, every operation in it has that error.
  /// Neither may take long, since all others wait meanwhile.
  public func perform<Value: Sendable>(
    _ operation: @escaping @Sendable (borrowing Transaction) throws(StoreError) -> Value,
    then: @escaping @Sendable (Result<Value, StoreError>) -> Void
  ) {
    let posted = PostedOperation(
      carryOut: { transaction in
        let result: Result<Value, StoreError>
        do throws(StoreError) {
          result = .success(
            try transaction.connection.atomically { () throws(StoreError) in try operation(transaction) })
        } catch {
          result = .failure(error)
        }
        let error: StoreError? = if case .failure(let error) = result { error } else { nil }
        return PostedOperation.Outcome(error: error) { then(result) }
      },
      refuse: { then(.failure($0)) })
    if let error = queue.post(posted) { then(.failure(error)) }
  }

  /// As `perform`, and waits until the operation is done. From any thread that nobody waits for: not one that serves.
  public func performAndWait<Value: Sendable>(
    _ operation: @escaping @Sendable (borrowing Transaction) throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    let outcome: PendingValue<Result<Value, StoreError>>
    do {
      outcome = try PendingValue()
    } catch {
      throw .failed("the store", detail: "there is nothing to wait with: \(error)")
    }
    perform(operation, then: outcome.put)
    return try outcome.wait().get()
  }

  /// Takes no further operations, carries out those that wait, and returns once the file is closed. From any thread but
  /// the store's own; a second time does nothing.
  public func close() {
    queue.close()
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    thread?.join()
  }

  /// From any thread.
  public var statistics: StoreStatistics { queue.statistics }
}

/// Whether the store's file can be written.
public enum StoreHealth: Equatable, Sendable {
  case failing(StoreError)
  /// Of the file at this path.
  case working(String)
}

/// What a store has done since it was opened.
public struct StoreStatistics: Equatable, Sendable {
  /// Operations that were carried out, those that failed by themselves counted.
  public internal(set) var operations = 0
  /// The transactions that they were carried out in.
  public internal(set) var transactions = 0
  /// Those of the transactions that changed something, and so waited for the disk.
  public internal(set) var writes = 0
  /// Transactions that could not be committed.
  public internal(set) var failures = 0
  /// Operations that wait now.
  public internal(set) var waiting = 0
}

/// What an operation works on: the tables, as they are within the transaction. Its operations are in extensions.
public struct Transaction: ~Copyable {
  let connection: SQLiteConnection

  /// Runs `body`; if it returns `nil` or fails, nothing of what it has done stays, and what was done before does.
  public func attempt<Result>(_ body: () throws(StoreError) -> Result?) throws(StoreError) -> Result? {
    try connection.attempt(body)
  }
}
