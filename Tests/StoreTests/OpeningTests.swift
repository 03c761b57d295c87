import Glibc
import SystemIO
import TestSupport
import Testing

@testable import Store

@Suite struct OpeningTests {
  /// The file of a store that has a hundred devices, and is closed.
  private func makeStore(_ directory: borrowing TemporaryDirectory) throws -> String {
    let store = try SQLiteStore(directory: directory.path)
    try store.change { db throws(StoreError) in
      var changes: [RecordChange] = []
      for number in 0..<100 {
        changes += try db.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1).1
      }
      return changes
    }
    store.close()
    return directory.file("relay.db")
  }

  private func error(opening directory: borrowing TemporaryDirectory) -> StoreError? {
    do throws(StoreError) {
      _ = try SQLiteStore(directory: directory.path)
      return nil
    } catch {
      return error
    }
  }

  @Test func `what was stored is there after the store is opened again`() throws {
    let directory = TemporaryDirectory()
    _ = try makeStore(directory)
    let store = try SQLiteStore(directory: directory.path)
    #expect(try store.read { db throws(StoreError) in try db.devices().count } == 100)
  }

  @Test func `nobody but its owner may read the files, whatever mode a copy came with`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    #expect(mode(of: path) == 0o600)
    #expect(mode(of: directory.file("relay.lock")) == 0o600)
    chmod(path, 0o644)
    let store = try SQLiteStore(directory: directory.path)
    try store.run { db throws(StoreError) in try db.admit(key: bytes(1000), id: "a", by: .open, at: 1) }
    for name in ["relay.db", "relay.db-wal", "relay.db-shm"] { #expect(mode(of: directory.file(name)) == 0o600) }
    store.close()
    #expect(mode(of: directory.file("relay.db-wal")) == nil)
  }

  @Test func `commits wait for the disk, in a log`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    #expect(try store.integer("PRAGMA synchronous") == 2)
    let mode = try store.rows("PRAGMA journal_mode") { $0.text(0) }
    #expect(mode == ["wal"])
  }

  @Test func `a second store on the same directory is refused, until the first is closed`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let own = currentProcess()
    #expect(error(opening: directory) == .inUse(directory.file("relay.db"), process: own))
    let answer = storeWriter("open", directory).finish().lines.first
    #expect(answer?.contains("in use by another relay (process \(own))") == true)
    // The refused ones have taken nothing from it.
    try store.run { db throws(StoreError) in try db.admit(key: bytes(1), id: "a", by: .open, at: 1) }
    store.close()
    #expect(storeWriter("open", directory).finish().lines == ["opened"])
    #expect(error(opening: directory) == nil)
  }

  @Test func `a store that nobody has any more lets go of its directory`() throws {
    let directory = TemporaryDirectory()
    _ = try SQLiteStore(directory: directory.path)
    #expect(error(opening: directory) == nil)
  }

  @Test func `a missing directory is refused by name`() {
    #expect(throws: StoreError.noDirectory("/nowhere/at-all")) { try SQLiteStore(directory: "/nowhere/at-all") }
  }

  @Test func `a directory that cannot be written is refused`() throws {
    let directory = TemporaryDirectory()
    chmod(directory.path, 0o555)
    let answer = try #require(storeWriter("open-as-nobody", directory).finish().lines.first)
    #expect(answer.contains("relay.lock: Permission denied"), "\(answer)")
  }

  @Test(.enabled(if: getuid() == 0, "only root can make files of two users"))
  func `a file of another user is refused`() throws {
    let directory = TemporaryDirectory()
    _ = try makeStore(directory)
    chmod(directory.path, 0o777)
    chmod(directory.file("relay.lock"), 0o666)
    let answer = try #require(storeWriter("open-as-nobody", directory).finish().lines.first)
    #expect(answer.contains("relay.db: Operation not permitted"), "\(answer)")
  }

  // MARK: Damage

  @Test func `a file of random bytes is refused and stays as it is`() throws {
    let directory = TemporaryDirectory()
    var random = FixedRandom(seed: 1)
    let noise = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let path = directory.file("relay.db")
    write(noise, to: path)
    guard case .damaged(path, _) = error(opening: directory) else {
      Issue.record("\(String(describing: error(opening: directory)))")
      return
    }
    #expect(try read(path) == noise)
  }

  @Test(arguments: [0, 1, 50, 100, 600, 4096, 5000, 12_288])
  func `a file that was cut short is refused and stays as it is`(length: Int) throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    let rest = Array(try read(path)[..<length])
    write(rest, to: path)
    guard case .damaged(path, _) = error(opening: directory) else {
      Issue.record("\(String(describing: error(opening: directory)))")
      return
    }
    #expect(try read(path) == rest)
  }

  @Test func `a file with a spoilt page is refused`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    let whole = try read(path)
    for page in 1..<whole.count / 4096 {
      var spoilt = whole
      for offset in 0..<64 { spoilt[page * 4096 + offset] ^= 0x5A }
      write(spoilt, to: path)
      guard case .damaged(path, _) = error(opening: directory) else {
        Issue.record("page \(page): \(String(describing: error(opening: directory)))")
        continue
      }
    }
  }

  @Test func `no spoilt bytes bring the process down`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    let whole = try read(path)
    var random = FixedRandom(seed: 2)
    for _ in 0..<100 {
      var spoilt = whole
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        // The header is where most of it matters.
        let limit = Bool.random(using: &random) ? 200 : spoilt.count
        spoilt[Int.random(in: 0..<limit, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      write(spoilt, to: path)
      guard let store = try? SQLiteStore(directory: directory.path) else { continue }
      _ = try? store.run { db throws(StoreError) in
        (try db.devices(), try db.admit(key: bytes(5000), id: "new", by: .open, at: 1).1)
      }
      store.close()
    }
  }

  @Test func `a log without its file is refused, since a new file would take it for its own`() throws {
    let directory = TemporaryDirectory()
    write([1, 2, 3], to: directory.file("relay.db-wal"))
    guard case .damaged = error(opening: directory) else {
      Issue.record("it was opened")
      return
    }
    #expect(mode(of: directory.file("relay.db")) == nil)
  }

  @Test func `what a crash has left of making the file is made anew`() throws {
    let directory = TemporaryDirectory()
    write([1, 2, 3], to: directory.file("relay.db.new"))
    write([1, 2, 3], to: directory.file("relay.db.new-journal"))
    #expect(error(opening: directory) == nil)
    #expect(mode(of: directory.file("relay.db.new")) == nil)
  }

  // MARK: Versions

  @Test func `the database of another program is refused`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    try SQLiteConnection(path: path).execute("PRAGMA application_id = 1")
    #expect(error(opening: directory) == .notOurs(path))
    try SQLiteConnection(path: path).execute("PRAGMA application_id = 0")
    #expect(error(opening: directory) == .notOurs(path))
  }

  @Test func `a file of a newer schema is refused`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    try SQLiteConnection(path: path).execute("PRAGMA user_version = 99")
    #expect(error(opening: directory) == .newerSchema(path, found: 99, known: SQLiteSchema.current.version))
    try SQLiteConnection(path: path).execute("PRAGMA user_version = -1")
    guard case .damaged = error(opening: directory) else {
      Issue.record("it was opened")
      return
    }
  }

  private func schema(_ more: String...) -> SQLiteSchema {
    SQLiteSchema(migrations: SQLiteSchema.current.migrations + more)
  }

  @Test func `an older file is brought up, with what it holds`() throws {
    let directory = TemporaryDirectory()
    let path = try makeStore(directory)
    let newer = schema("CREATE TABLE one (x);", "CREATE TABLE two (x); INSERT INTO two VALUES (5);")
    let store = try SQLiteStore(directory: directory.path, schema: newer)
    #expect(try store.read { db throws(StoreError) in try db.devices().count } == 100)
    #expect(try store.integer("SELECT x FROM two") == 5)
    store.close()
    // Once only: the second time would fail.
    try SQLiteStore(directory: directory.path, schema: newer).close()
    #expect(error(opening: directory) == .newerSchema(path, found: newer.version, known: SQLiteSchema.current.version))
  }

  @Test func `a file is brought up all the way or not at all`() throws {
    let directory = TemporaryDirectory()
    _ = try makeStore(directory)
    #expect(throws: StoreError.self) {
      try SQLiteStore(directory: directory.path, schema: schema("CREATE TABLE one (x);", "CREATE TABLE devices (x);"))
    }
    let store = try SQLiteStore(directory: directory.path)
    let found = try store.integer("SELECT count(*) FROM sqlite_master WHERE name = 'one'")
    #expect(found == 0)
  }
}
