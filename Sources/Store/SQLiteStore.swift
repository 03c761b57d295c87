internal import Synchronization
public import SystemIO
internal import SystemPackage

/// The records in one SQLite file: `relay.db` in the state directory (mode 0600).
///
/// The store's own thread runs the operations in the order in which they are posted, so no other thread waits for the
/// disk. Operations that wait together share a transaction and its fsync; one that fails undoes nothing of the others.
/// `then` runs after the commit.
///
/// One process uses the store at a time. A lock (flock) on `relay.lock` ensures that, and the kernel releases it
/// however the process ends. SQLite's exclusive mode would lock only once the file is open, and would exclude programs
/// that read the file for a copy (`sqlite3 relay.db .backup`).
///
/// Commits go to a log beside the file (WAL). A second after the last commit the store writes the log into the file, so
/// that a copy of the file alone is complete then.
public final class SQLiteStore: NetworkStore {
  // Set once.
  let directory: String
  private let queue: OperationQueue

  // Guarded by its lock.
  private let thread: Mutex<SystemThread?>

  /// Opens the store in an existing directory; makes its file if there is none. Reads the whole file once.
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

  /// Both closures run on the store's thread; `then` runs at once on the calling thread if the operation is refused
  /// with `busy` or `closed`. If the commit fails, every operation in the transaction gets that error.
  public func perform<Value: Sendable>(
    _ operation: @escaping StoreOperation<Value>, then: @escaping @Sendable (Result<Value, StoreError>) -> Void
  ) {
    let posted = PostedOperation(
      carryOut: { records in
        do throws(StoreError) {
          let (value, changes) = try operation(records)
          if !changes.isEmpty { try records.apply(changes) }
          return PostedOperation.Outcome(error: nil) { then(.success(value)) }
        } catch {
          return PostedOperation.Outcome(error: error) { then(.failure(error)) }
        }
      },
      refuse: { then(.failure($0)) })
    if let error = queue.post(posted) { then(.failure(error)) }
  }

  /// Refuses further operations, runs those that wait, and returns once the file is closed. From any thread except the
  /// store's own. A second call does nothing.
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

/// Whether the store can write its file.
public enum StoreHealth: Equatable, Sendable {
  case failing(StoreError)
  /// The path of the file.
  case working(String)
}

/// A copy of a store, in a file without a name.
public struct StoreCopy: Sendable {
  /// A complete database, without a log.
  public let file: OpenFile
  /// The path of the original.
  public let path: String
  /// Bytes.
  public let size: Int
  public let devices: Int
  public let leases: Int
  public let invites: Int
}

extension SQLiteStore {
  /// Copies everything that was committed before the call; operations continue meanwhile. The copy needs as much room
  /// in the directory as the database. Blocks until the copy is made. From any thread, one copy at a time.
  public func copy() throws(StoreError) -> StoreCopy {
    let copy = SQLiteConnection.copyFiles(in: directory)[0]
    do {
      return try makeCopy(at: copy)
    } catch {
      for file in SQLiteConnection.copyFiles(in: directory) { _ = try? removeFile(file) }
      switch error {
      case let error as StoreError: throw error
      case Errno.noSpace: throw .diskFull(copy)
      case let error as Errno: throw .noAccess(copy, error)
      default: fatalError("no other error is thrown here")
      }
    }
  }

  private func makeCopy(at copy: String) throws -> StoreCopy {
    let path = "\(directory)/\(SQLiteConnection.fileName)"
    for file in SQLiteConnection.copyFiles(in: directory) { try removeFile(file) }
    // SQLite accepts an empty file and keeps its mode.
    try makePrivateFile(copy)
    try SQLiteConnection(path: path).run("VACUUM INTO ?1", .text(copy))
    let made = try SQLiteConnection(path: copy)
    try made.checkOwner()
    try made.checkSoundness()
    func count(_ table: String) throws(StoreError) -> Int { Int(try made.integer("SELECT count(*) FROM \(table)")) }
    let counts = (devices: try count("devices"), leases: try count("leases"), invites: try count("invites"))
    let file = try OpenFile(removing: copy)
    return StoreCopy(
      file: file, path: path, size: try file.size(), devices: counts.devices, leases: counts.leases,
      invites: counts.invites)
  }
}

extension SQLiteConnection {
  /// The unfinished copy, and its journal.
  static func copyFiles(in directory: String) -> [String] {
    ["", "-journal"].map { "\(directory)/\(fileName).copy\($0)" }
  }
}
