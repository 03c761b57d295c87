import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

/// What the tables of `SQLiteStore` do, beyond the tests of every store.
@Suite final class SQLiteRecordsTests {
  private let directory = TemporaryDirectory()
  private let store: SQLiteStore

  init() throws {
    store = try SQLiteStore(directory: directory.path, queueLimit: 10_000)
  }

  @Test func `devices of one host name from former times stay, and are told of`() throws {
    try store.admit(1)
    try store.admit(2)
    _ = try store.rows("UPDATE devices SET device_id = 'DEVICE_1' WHERE device_id = 'device-2'") { _ in }
    #expect(try store.read { records throws(StoreError) in try records.labelClashes() } == [["DEVICE_1", "device-1"]])
    // The known device is still admitted.
    try store.admit(1)
    #expect(try store.read { records throws(StoreError) in try records.devices().count } == 2)
  }

  @Test func `a label is found by the index`() throws {
    let plan = try store.rows(
      "EXPLAIN QUERY PLAN SELECT key FROM devices WHERE status = 'active' AND \(SQLiteSchema.label) = 'a'"
    ) { $0.text(3) }
    #expect(plan.contains { $0.contains("devices_by_label") }, "\(plan)")
  }

  @Test func `the search for the oldest reads an index, not the table`() throws {
    let plan = try store.rows(
      """
      EXPLAIN QUERY PLAN SELECT address FROM leases JOIN devices USING (key) WHERE pinned = 0 AND leases.last_used <= 5
      AND address BETWEEN 1 AND 9 AND (leases.last_used, address) > (1, 2) ORDER BY leases.last_used, address LIMIT 9
      """
    ) { $0.text(3) }
    #expect(plan.contains { $0.contains("leases_by_use") } && !plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
  }

  @Test func `ten thousand devices get their addresses without a search through them all`() throws {
    let large = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 8))
    let results = Mailbox<Result<IPv4Address?, StoreError>>()
    let release = store.hold()
    for number in 0..<10_000 {
      store.perform(
        { records throws(StoreError) in
          let (device, admission) = try records.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1)
          guard let free = try records.freeAddress(in: large) else { return (nil, admission) }
          return (free, admission + RecordChange.moveLease(of: device, from: nil, to: free, at: 1))
        }, then: { results.put($0) })
    }
    release()
    let addresses = results.waitFor(10_000).compactMap { try? $0.get() }
    #expect(addresses.count == 10_000 && Set(addresses).count == 10_000)
    #expect(addresses.allSatisfy { large.isLeasable($0) })
    // The first is 10.0.0.2, and each 254 need 256 addresses.
    #expect(addresses.last == IPv4Address(bits: 0x0A00_0000 + 10_000 / 254 * 256 + 10_000 % 254 + 1))
  }

  @Test func `a file of the first schema gets leases, and keeps its devices and invites`() throws {
    let directory = TemporaryDirectory()
    let schema = SQLiteSchema(migrations: [SQLiteSchema.current.migrations[0]])
    // As that version wrote it.
    let old = try SQLiteConnection.open(in: directory.path, schema: schema)
    for number in 0..<100 {
      try old.run(
        """
        INSERT INTO devices (key, device_id, status, admitted_by, admitted_at, last_seen)
        VALUES (?1, ?2, 'active', 'open', 1, 1)
        """, .blob(bytes(number)), .text("device-\(number)"))
    }
    try old.run(
      """
      INSERT INTO invites (id, token_hash, uses_left, uses_total, created_at, expires_at, revoked)
      VALUES ('a', ?1, 1, 1, 1, 9, 0)
      """, .blob(bytes(1)))
    let store = try SQLiteStore(directory: directory.path)
    #expect(try store.read { records throws(StoreError) in try records.devices().count } == 100)
    #expect(try store.read { records throws(StoreError) in try records.invites().count } == 1)
    try store.change { records throws(StoreError) in
      guard let device = try records.device(id: "device-42") else { throw .noSuchDevice }
      return RecordChange.moveLease(of: device, from: nil, to: IPv4Address(bits: 2), at: 5)
    }
    #expect(try store.read { records throws(StoreError) in try records.leases().map(\.deviceID) } == ["device-42"])
  }
}
