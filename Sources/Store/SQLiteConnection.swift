internal import CSQLite
internal import Glibc
internal import SystemPackage

/// A value as SQLite stores it.
enum SQLValue {
  case null
  case integer(Int64)
  case text(String)
  case blob([UInt8])

  static func optional(_ text: String?) -> SQLValue { text.map(SQLValue.text) ?? .null }
  static func optional(_ blob: [UInt8]?) -> SQLValue { blob.map(SQLValue.blob) ?? .null }
  static func optional(_ number: Int64?) -> SQLValue { number.map(SQLValue.integer) ?? .null }
}

/// A row of a result, valid while it is read. Columns count from 0.
struct SQLiteRow: ~Copyable {
  fileprivate let statement: OpaquePointer

  func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(statement, column) }

  func text(_ column: CInt) -> String { String(decoding: blob(column), as: UTF8.self) }

  func optionalText(_ column: CInt) -> String? { isNull(column) ? nil : text(column) }

  func blob(_ column: CInt) -> [UInt8] {
    guard let bytes = sqlite3_column_blob(statement, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))))
  }

  func optionalBlob(_ column: CInt) -> [UInt8]? { isNull(column) ? nil : blob(column) }

  func optionalInteger(_ column: CInt) -> Int64? { isNull(column) ? nil : integer(column) }

  private func isNull(_ column: CInt) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }
}

/// An open SQLite file, with its prepared statements.
final class SQLiteConnection: @unchecked Sendable {
  // `@unchecked`: the thread that opens it hands it to the thread that uses it; they never share it.
  let path: String
  private let database: OpaquePointer
  private var statements: [String: OpaquePointer] = [:]
  private var lastError: StoreError?
  private var needsTransaction = false
  /// A rollback restores it.
  var freeSearch = FreeSearch()

  /// Milliseconds to wait while another program, such as one that makes a copy, locks the file.
  private static let busyTimeout: CInt = 5_000

  /// Limit of the file in pages of 4 KiB; an open relay has no other limit.
  private static let maximumPages = 1 << 18

  /// Opens an existing file, without reading it.
  init(path: String) throws(StoreError) {
    var database: OpaquePointer?
    let result = sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil)
    guard let database else { fatalError("no memory for SQLite") }
    self.path = path
    self.database = database
    sqlite3_extended_result_codes(database, 1)
    sqlite3_busy_timeout(database, Self.busyTimeout)
    try check(result)
    try execute("PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
    try execute("PRAGMA max_page_count = \(Self.maximumPages)")
  }

  deinit {
    for statement in statements.values { sqlite3_finalize(statement) }
    let result = sqlite3_close(database)
    assert(result == SQLITE_OK, "a statement is left over")
  }

  // MARK: Statements

  /// Runs statements without values and results.
  func execute(_ sql: String) throws(StoreError) {
    try check(sqlite3_exec(database, sql, nil, nil, nil))
  }

  /// Runs one statement without a result.
  func run(_ sql: String, _ values: SQLValue...) throws(StoreError) {
    let statement = try prepare(sql, values)
    defer { finish(statement) }
    var result = SQLITE_ROW
    while result == SQLITE_ROW { result = sqlite3_step(statement) }
    if result != SQLITE_DONE { throw error(result) }
  }

  /// Every row of the result, as `read` makes it.
  func rows<Item>(_ sql: String, _ values: SQLValue..., read: (borrowing SQLiteRow) -> Item) throws(StoreError)
    -> [Item]
  {
    try rows(sql, values, read: read)
  }

  func rows<Item>(_ sql: String, _ values: [SQLValue], read: (borrowing SQLiteRow) -> Item) throws(StoreError) -> [Item]
  {
    let statement = try prepare(sql, values)
    defer { finish(statement) }
    var items: [Item] = []
    while true {
      let result = sqlite3_step(statement)
      if result == SQLITE_DONE { return items }
      guard result == SQLITE_ROW else { throw error(result) }
      items.append(read(SQLiteRow(statement: statement)))
    }
  }

  /// The number that a statement returns.
  func integer(_ sql: String) throws(StoreError) -> Int64 {
    try rows(sql) { $0.integer(0) }.first ?? 0
  }

  /// How many rows have changed since the file was opened, also by changes that were undone.
  var changedRows: CInt { sqlite3_total_changes(database) }

  private func prepare(_ sql: String, _ values: [SQLValue]) throws(StoreError) -> OpaquePointer {
    try checkTransaction()
    let statement: OpaquePointer
    if let prepared = statements[sql] {
      statement = prepared
    } else {
      var new: OpaquePointer?
      try check(sqlite3_prepare_v3(database, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &new, nil))
      guard let new else { preconditionFailure("there is no statement in \(sql)") }
      statements[sql] = new
      statement = new
    }
    for (position, value) in zip(CInt(1)..., values) { try bind(value, at: position, of: statement) }
    return statement
  }

  private func bind(_ value: SQLValue, at position: CInt, of statement: OpaquePointer) throws(StoreError) {
    switch value {
    case .null: try check(sqlite3_bind_null(statement, position))
    case .integer(let number): try check(sqlite3_bind_int64(statement, position, number))
    case .text(let text):
      var text = text
      let result = text.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) {
          sqlite3_bind_text(statement, position, $0.baseAddress ?? Self.empty, CInt($0.count), Self.copied)
        }
      }
      try check(result)
    case .blob(let bytes):
      let result = bytes.withUnsafeBytes {
        let start = $0.baseAddress ?? UnsafeRawPointer(Self.empty)
        return sqlite3_bind_blob(statement, position, start, CInt($0.count), Self.copied)
      }
      try check(result)
    }
  }

  /// SQLITE_TRANSIENT, a macro that Swift does not import: SQLite makes a copy.
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
  /// The address of no bytes, where a null pointer would mean NULL.
  nonisolated(unsafe) private static let empty = UnsafePointer(UnsafeMutablePointer<CChar>.allocate(capacity: 1))

  /// Makes a statement ready for its next use; it then holds no lock and no value.
  private func finish(_ statement: OpaquePointer) {
    // This returns an error that was thrown already.
    sqlite3_reset(statement)
    sqlite3_clear_bindings(statement)
  }

  /// Writes the log into the file (a checkpoint), without waiting for programs that read the file. False: part of the
  /// log is not written.
  func emptyLog() -> Bool {
    let counts = try? rows("PRAGMA wal_checkpoint(PASSIVE)") { (log: $0.integer(1), written: $0.integer(2)) }.first
    return counts.map { $0.log == $0.written } ?? false
  }

  // MARK: Transactions

  private var isInTransaction: Bool { sqlite3_get_autocommit(database) == 0 }

  /// Throws if the transaction is not open any more: when the disk fails, SQLite may undo all of it, and further
  /// statements would be committed one by one.
  func checkTransaction() throws(StoreError) {
    if needsTransaction, !isInTransaction { throw lastError ?? .failed(path, detail: "the transaction was undone") }
  }

  /// Runs `body` in a transaction; undoes it if it or the commit fails.
  func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    // A transaction that becomes a writer later may fail because another program wrote meanwhile.
    try run("BEGIN IMMEDIATE")
    needsTransaction = true
    defer { needsTransaction = false }
    let search = freeSearch
    do {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      freeSearch = search
      if isInTransaction { try? run("ROLLBACK") }
      throw error
    }
  }

  /// Runs `body` in the open transaction; undoes all that `body` has done if it throws.
  func atomically(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    try run("SAVEPOINT operation")
    do {
      try body()
      try run("RELEASE operation")
    } catch {
      undoOperation()
      throw error
    }
  }

  private func undoOperation() {
    do throws(StoreError) {
      try run("ROLLBACK TO operation")
      try run("RELEASE operation")
    } catch {
      // Undo the whole transaction rather than keep half of an operation.
      if isInTransaction { try? run("ROLLBACK") }
    }
  }

  // MARK: Errors

  private func check(_ result: CInt) throws(StoreError) {
    if result != SQLITE_OK { throw error(result) }
  }

  private func error(_ code: CInt) -> StoreError {
    let message = String(cString: sqlite3_errmsg(database))
    let error: StoreError
    switch code & 0xFF {
    case SQLITE_CORRUPT, SQLITE_NOTADB: error = .damaged(path, detail: message)
    case SQLITE_FULL: error = .diskFull(path)
    case SQLITE_CONSTRAINT, SQLITE_TOOBIG, SQLITE_MISMATCH: error = .badValue(message)
    case SQLITE_BUSY: error = .failed(path, detail: "another program holds it for too long: end that one")
    case SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_READONLY:
      let number = sqlite3_system_errno(database)
      let reason = number == 0 ? "" : ": \(Errno(rawValue: number))"
      error = .failed(path, detail: "\(message) (\(code))\(reason); see whether its disk fails or is mounted read-only")
    default: error = .failed(path, detail: "\(message) (\(code))")
    }
    lastError = error
    return error
  }
}
