import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing

@testable import Store

@Suite struct CopyTests {
  private func admit(_ store: SQLiteStore, _ numbers: Range<Int>) throws {
    for number in numbers { try store.admit(number) }
  }

  /// The devices in a copy of `file` alone.
  private func devices(in file: String) throws -> [String] {
    let place = TemporaryDirectory()
    write(try read(file), to: place.file("relay.db"))
    let store = try SQLiteStore(directory: place.path)
    return try store.read { db throws(StoreError) in try db.devices() }.map(\.id).sorted()
  }

  @Test func `a copy is a database by itself, with all that was committed before`() throws {
    let directory = TemporaryDirectory()
    let target = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    try admit(store, 0..<20)
    let copy = try store.copy()
    try admit(store, 20..<30)
    #expect(copy.devices == 20 && copy.leases == 0 && copy.invites == 0)
    let size = try copy.file.size()
    #expect(copy.path == directory.file("relay.db") && copy.size == size)
    try copy.file.copy(to: target.file("copy.db"))
    #expect(mode(of: target.file("copy.db")) == 0o600)
    #expect(try read(target.file("copy.db")).count == copy.size)
    #expect(try devices(in: target.file("copy.db")).count == 20)
    // Nothing is left of it in the directory.
    #expect(mode(of: directory.file("relay.db.copy")) == nil)
    #expect(try store.copy().devices == 30)
  }

  @Test func `operations go on while a copy is made, and the copy is of one moment`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    for number in 0..<2000 {
      store.perform { db throws(StoreError) in
        try db.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1)
      } then: {
        results.put($0)
      }
    }
    var last = 0
    for _ in 0..<5 {
      let copy = try store.copy()
      #expect(copy.devices >= last)
      last = copy.devices
    }
    #expect(results.waitFor(2000).allSatisfy { (try? $0.get()) != nil })
    #expect(try store.copy().devices == 2000)
  }

  @Test func `the file alone has all rows once nothing has waited for a second`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    for round in 1...2 {
      try admit(store, (round - 1) * 20..<round * 20)
      let isWhole = wait { (try? devices(in: directory.file("relay.db")).count) == 20 * round }
      #expect(isWhole)
    }
    withExtendedLifetime(store) {}
  }

  @Test func `the file alone has all rows, though operations that only read come without a pause`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    try admit(store, 0..<20)
    let end = Mailbox<Void>()
    let reader = SystemThread.start(name: "reader") {
      while end.items.isEmpty { _ = try? store.read { db throws(StoreError) in try db.device(id: "device-0") } }
    }
    defer {
      end.put(())
      reader.join()
    }
    #expect(wait { (try? devices(in: directory.file("relay.db")).count) == 20 })
  }

  @Test func `what a killed process has left in the log gets into the file, though nothing is written`() throws {
    let directory = TemporaryDirectory()
    do {
      let other = TemporaryDirectory()
      let store = try SQLiteStore(directory: other.path)
      try admit(store, 0..<5)
      // As a kill would leave it.
      for name in ["relay.db", "relay.db-wal"] { write(try read(other.file(name)), to: directory.file(name)) }
    }
    let store = try SQLiteStore(directory: directory.path)
    #expect(wait { (try? devices(in: directory.file("relay.db")).count) == 5 })
    withExtendedLifetime(store) {}
  }

  @Test func `a copy that was cut off is removed at the next start, and by the next copy`() throws {
    let directory = TemporaryDirectory()
    try admit(SQLiteStore(directory: directory.path), 0..<3)
    write([1, 2, 3], to: directory.file("relay.db.copy"))
    let store = try SQLiteStore(directory: directory.path)
    #expect(mode(of: directory.file("relay.db.copy")) == nil)
    write([1, 2, 3], to: directory.file("relay.db.copy"))
    #expect(try store.copy().devices == 3)
  }

  @Test func `a copy takes the place of another file whole or not at all`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let file = try store.copy().file
    let target = directory.file("copy.db")
    write([1], to: target)
    try file.copy(to: target)
    #expect(try read(target).starts(with: Array("SQLite format 3".utf8)))
    #expect(throws: Errno.noSuchFileOrDirectory) { try file.copy(to: directory.file("none") + "/copy.db") }
    let names = try Directory(directory.path).names()
    #expect(names.filter { $0.contains("copy") } == ["copy.db"])
  }
}
