import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

/// What every store promises about operations.
@Suite struct NetworkStoreTests {
  @Test(arguments: StoreKind.allCases)
  func `an operation sees what those before it have done`(kind: StoreKind) throws {
    let fixture = try StoreFixture(kind)
    let store = fixture.store
    let counts = Mailbox<Int>()
    for number in 0..<50 {
      store.perform { db throws(StoreError) in
        (try db.devices().count, try db.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1).1)
      } then: {
        counts.put((try? $0.get()) ?? -1)
      }
    }
    #expect(counts.waitFor(50) == Array(0..<50))
  }

  @Test(arguments: StoreKind.allCases)
  func `threads that post at the same time lose nothing, and each keeps its order`(kind: StoreKind) throws {
    let fixture = try StoreFixture(kind)
    let store = fixture.store
    let told = Mailbox<Int>()
    // The memory store searches all records for each device.
    let count = kind == .memory ? 50 : 500
    let threads = (0..<4).map { thread in
      SystemThread.start(name: "poster") {
        for number in 0..<count {
          let name = thread * 1000 + number
          store.perform { db throws(StoreError) in
            try db.admit(key: bytes(name), id: "device-\(name)", by: .open, at: 1)
          } then: { result in
            if case .success = result { told.put(name) }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    let names = told.waitFor(4 * count)
    #expect(names.count == 4 * count)
    for thread in 0..<4 {
      let own = names.filter { $0 / 1000 == thread }
      #expect(own == own.sorted())
    }
    #expect(try store.read { db throws(StoreError) in try db.devices().count } == 4 * count)
  }

  @Test(arguments: StoreKind.allCases)
  func `an operation that throws changes nothing, and its error is the result`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    #expect(throws: StoreError.admission(.idTaken(by: bytes(1)))) { try store.admit(2, "a") }
    #expect(throws: StoreError.noSuchDevice) {
      try store.change { _ throws(StoreError) in throw .noSuchDevice }
    }
    #expect(try store.devices().map(\.key) == [bytes(1)])
  }

  @Test(arguments: StoreKind.allCases)
  func `the changes of an operation are committed together or not at all`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(IPv4Address(bits: 2), to: 1)
    let second = try #require(store.devices().first)
    let error = #expect(throws: StoreError.self) {
      try store.change { _ in
        [
          .removeLease(IPv4Address(bits: 2)), .removeDevice(key: second.key),
          .putLease(
            LeaseRecord(address: IPv4Address(bits: 3), key: second.key, deviceID: "x", isPinned: false, lastUsed: 1)),
        ]
      }
    }
    guard case .badValue = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(try store.leases().map(\.address) == [IPv4Address(bits: 2)] && store.devices() == [second])
  }

  @Test(arguments: StoreKind.allCases)
  func `a closed store refuses operations`(kind: StoreKind) throws {
    let fixture = try StoreFixture(kind)
    try fixture.admit(1, "a")
    fixture.store.close()
    #expect(throws: StoreError.closed) { try fixture.devices() }
    fixture.store.close()
  }

  @Test(arguments: StoreKind.allCases)
  func `the newest time of any record is known`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    #expect(try store.read { records throws(StoreError) in try records.newestUse() } == nil)
    try store.give(IPv4Address(bits: 2), to: 1, at: 100)
    try store.admit(2, "b", at: 90)
    #expect(try store.read { records throws(StoreError) in try records.newestUse() } == 100)
    try store.change { _ in [.seen(key: bytes(2), at: 300)] }
    #expect(try store.read { records throws(StoreError) in try records.newestUse() } == 300)
  }
}
