internal import SystemIO
internal import SystemPackage

extension SQLiteConnection {
  static let fileName = "relay.db"

  /// Opens the store's file in `directory`, checks it and brings it to the schema; makes it if there is none. The
  /// caller has the directory's lock.
  static func open(in directory: String, schema: SQLiteSchema) throws(StoreError) -> SQLiteConnection {
    let path = "\(directory)/\(fileName)"
    try withAccess(to: path) { try makeIfMissing(directory, path, schema) }
    let connection = try SQLiteConnection(path: path)
    try connection.checkOwner()
    try connection.checkVersion(schema)
    try connection.checkSoundness()
    try connection.useLog()
    try connection.migrate(to: schema)
    return connection
  }

  /// Makes a new file under another name and renames it, so that an empty file is always a damaged one.
  private static func makeIfMissing(_ directory: String, _ path: String, _ schema: SQLiteSchema) throws {
    let logs = ["\(path)-wal", "\(path)-shm"]
    // A backup that was interrupted may have left them.
    for file in SQLiteConnection.copyFiles(in: directory) { try removeFile(file) }
    if try exists(path) {
      // SQLite gives its other files the mode of this one; files of a restored copy may have any.
      for file in [path] + logs { try makePrivate(file) }
      return
    }
    // SQLite would apply it to the new file.
    if try exists(logs[0]) {
      throw StoreError.damaged(path, detail: "it is missing, while its log \(fileName)-wal is there")
    }
    let newName = "\(fileName).new"
    let new = "\(directory)/\(newName)"
    // A crash may have left them.
    for file in [new, "\(new)-journal"] { try removeFile(file) }
    try makePrivateFile(new)
    try SQLiteConnection(path: new).migrate(to: schema)
    try rename(newName, to: fileName, in: directory)
  }

  /// Turns system errors into errors of the store.
  private static func withAccess(to path: String, _ body: () throws -> Void) throws(StoreError) {
    do {
      try body()
    } catch let error as StoreError {
      throw error
    } catch Errno.noSpace {
      throw .diskFull(path)
    } catch let error as Errno {
      throw .noAccess(path, error)
    } catch {
      fatalError("no other error is thrown here")
    }
  }

  func checkOwner() throws(StoreError) {
    guard try integer("PRAGMA page_count") > 0 else { throw .damaged(path, detail: "it is empty") }
    guard try integer("PRAGMA application_id") == SQLiteSchema.applicationID else { throw .notOurs(path) }
  }

  private func checkVersion(_ schema: SQLiteSchema) throws(StoreError) {
    let version = Int(try integer("PRAGMA user_version"))
    guard version >= 0 else { throw .damaged(path, detail: "its schema has version \(version)") }
    guard version <= schema.version else { throw .newerSchema(path, found: version, known: schema.version) }
  }

  /// Reads the whole file, so that damage shows at the start and not later.
  func checkSoundness() throws(StoreError) {
    let findings = try rows("PRAGMA integrity_check(1)") { $0.text(0) }
    guard findings == ["ok"] else { throw .damaged(path, detail: findings.first ?? "it cannot be checked") }
  }

  /// Selects WAL: a commit appends to a log with one fsync, and other programs may read meanwhile.
  private func useLog() throws(StoreError) {
    let mode = try rows("PRAGMA journal_mode = WAL") { $0.text(0) }
    guard mode == ["wal"] else {
      throw .failed(path, detail: "its file system cannot share memory: choose a state directory on a local disk")
    }
  }

  private func migrate(to schema: SQLiteSchema) throws(StoreError) {
    let version = Int(try integer("PRAGMA user_version"))
    guard version < schema.version else { return }
    try transaction { () throws(StoreError) in
      for migration in schema.migrations[version...] { try execute(migration) }
      try execute("PRAGMA application_id = \(SQLiteSchema.applicationID); PRAGMA user_version = \(schema.version)")
    }
  }
}
