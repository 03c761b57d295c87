import Glibc
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

@Suite struct SQLiteStoreTests {
  private func admit(_ store: SQLiteStore, _ number: Int, into results: Mailbox<Result<DeviceRecord, StoreError>>) {
    store.perform { db throws(StoreError) in
      try db.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1)
    } then: {
      results.put($0)
    }
  }

  @Test func `a thousand admissions that come at once share their writes to the disk`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    for number in 0..<1000 { admit(store, number, into: results) }
    #expect(results.waitFor(1000).count == 1000)
    #expect(results.items.allSatisfy { (try? $0.get()) != nil })
    #expect(store.statistics.operations == 1000)
    #expect(store.statistics.writes < 100)
  }

  @Test func `what waits while the thread is busy is one transaction`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let release = store.hold()
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    for number in 0..<1000 { admit(store, number, into: results) }
    #expect(store.statistics.waiting == 1000)
    release()
    #expect(results.waitFor(1000).count == 1000)
    #expect(
      store.statistics == StoreStatistics(operations: 1001, transactions: 2, writes: 1, failures: 0, waiting: 0))
  }

  @Test func `it is told once that writing begins to fail, and once that it works again`() throws {
    let directory = TemporaryDirectory()
    let healths = Mailbox<StoreHealth>()
    let store = try SQLiteStore(directory: directory.path) { healths.put($0) }
    func fail(_ error: StoreError) {
      #expect(throws: error) { try store.read { _ throws(StoreError) in throw error } }
    }
    // What is wrong with a request says nothing of the disk.
    fail(.noSuchDevice)
    for _ in 0..<3 { fail(.diskFull("a")) }
    // Reading works on a full disk, too.
    _ = try store.read { db throws(StoreError) in try db.devices() }
    #expect(healths.items == [.failing(.diskFull("a"))])
    for number in 1...2 { try store.admit(number) }
    #expect(healths.waitFor(2) == [.failing(.diskFull("a")), .working("\(directory.path)/relay.db")])
    fail(.failed("b", detail: "c"))
    #expect(healths.waitFor(3).last == .failing(.failed("b", detail: "c")))
  }

  @Test func `reading waits for no disk`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    #expect(try store.read { db throws(StoreError) in try db.devices() } == [])
    #expect(store.statistics.writes == 0)
    #expect(store.statistics.transactions == 1)
  }

  @Test func `an operation that fails undoes all of itself and nothing of those beside it`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let release = store.hold()
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    admit(store, 1, into: results)
    store.perform { db throws(StoreError) in
      let (second, changes) = try db.admit(key: bytes(2), id: "device-2", by: .open, at: 1)
      // The first change is undone with the second.
      let lease = LeaseRecord(
        address: IPv4Address(bits: 2), key: bytes(99), deviceID: "x", isPinned: false, lastUsed: 1)
      return (second, changes + [.putLease(lease)])
    } then: {
      results.put($0)
    }
    store.perform { db throws(StoreError) in
      // A statement that fails, and not a check of ours.
      try db.admit(key: [1, 2, 3], id: "device-4", by: .open, at: 1)
    } then: {
      results.put($0)
    }
    admit(store, 5, into: results)
    release()
    let all = results.waitFor(4)
    #expect(store.statistics.transactions == 2)
    #expect((try? all[0].get()) != nil)
    for result in all[1...2] {
      guard case .failure(.badValue) = result else {
        Issue.record("\(result)")
        return
      }
    }
    #expect((try? all[3].get()) != nil)
    #expect(try store.read { db throws(StoreError) in try db.devices().map(\.id) } == ["device-1", "device-5"])
  }

  @Test func `beyond its bound the queue says busy at once, and goes on when there is room`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path, queueLimit: 10)
    let release = store.hold()
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    for number in 0..<12 { admit(store, number, into: results) }
    #expect(results.items == [.failure(.busy), .failure(.busy)])
    release()
    #expect(results.waitFor(12).count == 12)
    #expect(try store.read { db throws(StoreError) in try db.devices().count } == 10)
  }

  @Test func `closing carries out what waits, and refuses what comes after`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    let release = store.hold()
    for number in 0..<100 { admit(store, number, into: results) }
    release()
    store.close()
    #expect(results.items.count == 100)
    #expect(results.items.allSatisfy { (try? $0.get()) != nil })
    admit(store, 100, into: results)
    #expect(results.items.last == .failure(.closed))
    store.close()
  }

  @Test func `who is told may post again, and may be the last to know the store`() throws {
    let directory = TemporaryDirectory()
    let counts = Mailbox<Int>()
    do {
      let store = try SQLiteStore(directory: directory.path)
      store.read { db throws(StoreError) in
        try db.devices().count
      } then: { _ in
        store.read { db throws(StoreError) in
          try db.devices().count
        } then: { result in
          withExtendedLifetime(store) { counts.put((try? result.get()) ?? -1) }
        }
      }
    }
    #expect(counts.waitFor(1) == [0])
    #expect(wait { (try? SQLiteStore(directory: directory.path)) != nil })
  }

  @Test func `if the commit fails, all that were in it are told so, and the store goes on`() throws {
    let directory = TemporaryDirectory()
    let lines = storeWriter("fail", directory).finish().lines
    #expect(lines.first == "device-1")
    #expect(lines.count { $0 == "failed" } == 1000)
    #expect(lines.last == "device-2")
    let store = try SQLiteStore(directory: directory.path)
    #expect(try store.read { db throws(StoreError) in try db.devices().map(\.id) } == ["device-1", "device-2"])
  }

  @Test func `whoever was told of an admission finds it after the process was killed`() throws {
    let directory = TemporaryDirectory()
    var told: Set<String> = []
    for round in 0..<6 {
      var writer = storeWriter("admit", directory)
      writer.read(lines: Int.random(in: 1...300))
      usleep(UInt32.random(in: 0...20_000))
      let lines = writer.finish(killed: true).lines
      #expect(!lines.isEmpty)
      told.formUnion(lines)
      // Every second time the next writer itself finds what the killed one has left.
      guard round % 2 == 1 else { continue }
      let store = try SQLiteStore(directory: directory.path)
      let stored = Set(try store.read { db throws(StoreError) in try db.devices().map(\.id) })
      #expect(told.isSubset(of: stored), "\(told.subtracting(stored).count) of \(told.count) are lost")
      store.close()
    }
  }
}
