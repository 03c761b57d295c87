import TestSupport
import Testing

@testable import Store

@Suite final class DeviceTests {
  private let directory = TemporaryDirectory()
  private let store: SQLiteStore

  init() throws {
    store = try SQLiteStore(directory: directory.path)
  }

  @discardableResult
  private func admit(_ key: Int, _ id: String, at time: Int64 = 100) throws(StoreError) -> Admission {
    try store.run { db throws(StoreError) in try db.admit(key: bytes(key), id: id, by: .approved, at: time) }
  }

  private func match(_ key: Int) throws -> DeviceMatch? {
    try store.run { db throws(StoreError) in try db.device(key: bytes(key)) }
  }

  private func device(_ id: String) throws -> DeviceRecord? {
    try store.run { db throws(StoreError) in try db.device(id: id) }
  }

  private func setNextKey(_ next: Int?, of key: Int) throws {
    try store.run { db throws(StoreError) in try db.setNextKey(next.map(bytes), ofKey: bytes(key)) }
  }

  @discardableResult
  private func promote(_ next: Int) throws -> DeviceRecord {
    try store.run { db throws(StoreError) in try db.promoteNextKey(bytes(next)) }
  }

  @discardableResult
  private func revoke(_ id: String) throws -> DeviceRecord {
    try store.run { db throws(StoreError) in try db.revoke(id: id) }
  }

  @discardableResult
  private func forget(_ id: String) throws -> [DeviceRecord] {
    try store.run { db throws(StoreError) in try db.forget(id: id) }
  }

  @Test func `an admitted device is found by its key and by its ID`() throws {
    let expected = DeviceRecord(
      key: bytes(1), nextKey: nil, id: "a", status: .active, admittedBy: .approved, admittedAt: 100, lastSeen: 100)
    #expect(try admit(1, "a") == Admission(device: expected, isNew: true))
    #expect(try match(1) == DeviceMatch(device: expected, key: .current))
    #expect(try device("a") == expected)
    #expect(try match(2) == nil)
    #expect(try device("b") == nil)
  }

  @Test func `a device that is admitted again stays as it is`() throws {
    let first = try admit(1, "a")
    #expect(try admit(1, "a", at: 500) == Admission(device: first.device, isNew: false))
  }

  @Test func `another key cannot have an ID that is taken`() throws {
    try admit(1, "a")
    #expect(throws: StoreError.admission(.idTaken(by: bytes(1)))) { try admit(2, "a") }
  }

  @Test func `a key cannot have another ID than its own`() throws {
    try admit(1, "a")
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try admit(1, "b") }
  }

  @Test func `IDs may hold any text`() throws {
    try admit(1, "kitchen")
    try admit(3, "Küche'; DROP TABLE devices; --")
    #expect(
      try store.run { db throws(StoreError) in try db.devices().map(\.id) }
        == ["Küche'; DROP TABLE devices; --", "kitchen"])
  }

  @Test(arguments: ["Kitchen.Hub", "kitchen_hub", "KITCHEN-HUB"])
  func `an ID that makes another's host name is refused until that one has gone`(id: String) throws {
    try admit(1, "kitchen.hub")
    #expect(throws: StoreError.admission(.labelTaken(by: "kitchen.hub"))) { try admit(2, id) }
    #expect(try device(id) == nil)
    try admit(3, "kitchen.hub.")
    try revoke("kitchen.hub")
    try admit(2, id)
    #expect(throws: StoreError.admission(.labelTaken(by: id))) { try admit(4, "kitchen.hub") }
  }

  @Test func `an invite is not used up by an ID that makes another's host name`() throws {
    try admit(1, "a.b")
    let hash = [UInt8](repeating: 9, count: 32)
    _ = try store.run { db throws(StoreError) in
      try db.createInvite(tokenHash: hash, uses: 1, expiresAt: 1000, at: 100)
    }
    func redeem(_ id: String) throws {
      try store.run { db throws(StoreError) in try db.admit(key: bytes(2), id: id, redeeming: hash, at: 100) }
    }
    #expect(throws: StoreError.admission(.labelTaken(by: "a.b"))) { try redeem("A-B") }
    try redeem("c")
  }

  @Test func `devices of one host name from former times stay, and are told of`() throws {
    try admit(1, "a.b")
    try admit(2, "c")
    try store.run { db throws(StoreError) in
      try db.connection.run("UPDATE devices SET device_id = 'A_B' WHERE device_id = ?", .text("c"))
    }
    #expect(try store.run { db throws(StoreError) in try db.labelClashes() } == [["A_B", "a.b"]])
    #expect(try admit(1, "a.b").isNew == false)
  }

  @Test func `a label is found by the index`() throws {
    let plan = try store.run { db throws(StoreError) in
      try db.connection.rows(
        "EXPLAIN QUERY PLAN SELECT key FROM devices WHERE status = 'active' AND \(SQLiteSchema.label) = ?1", .text("a")
      ) { $0.text(3) }
    }
    #expect(plan.contains { $0.contains("devices_by_label") }, "\(plan)")
  }

  @Test(arguments: [0, 31, 33])
  func `a key of another length than 32 bytes is not stored`(length: Int) throws {
    let key = [UInt8](repeating: 1, count: length)
    let error = #expect(throws: StoreError.self) {
      try store.run { db throws(StoreError) in try db.admit(key: key, id: "a", by: .open, at: 1) }
    }
    #expect(error?.description.contains("CHECK") == true)
    #expect(try device("a") == nil)
  }

  @Test(arguments: [DeviceRecord.AdmissionMethod.open, .approved, .invite("k7m2p9qa")])
  func `how a device came in is remembered`(admitter: DeviceRecord.AdmissionMethod) throws {
    try store.run { db throws(StoreError) in try db.admit(key: bytes(1), id: "a", by: admitter, at: 1) }
    #expect(try device("a")?.admittedBy == admitter)
  }

  @Test func `a device was seen last when that was told last, since the clock may have been wrong before`() throws {
    try admit(1, "a")
    try setNextKey(2, of: 1)
    try store.run { db throws(StoreError) in try db.touch(key: bytes(1), at: 300) }
    #expect(try device("a")?.lastSeen == 300)
    try store.run { db throws(StoreError) in try db.touch(key: bytes(2), at: 400) }
    #expect(try device("a")?.lastSeen == 400)
    try store.run { db throws(StoreError) in try db.touch(key: bytes(1), at: 200) }
    #expect(try device("a")?.lastSeen == 200)
    // Forgotten meanwhile.
    try store.run { db throws(StoreError) in try db.touch(key: bytes(9), at: 200) }
  }

  // MARK: A change of keys

  @Test func `both keys are good until the device has come with the next one, and then that alone`() throws {
    try admit(1, "a")
    try setNextKey(2, of: 1)
    #expect(try match(1)?.key == .current)
    #expect(try match(2)?.key == .next)
    #expect(try match(2)?.device == match(1)?.device)
    #expect(try admit(2, "a").isNew == false)
    #expect(try promote(2).key == bytes(2))
    #expect(try match(2)?.key == .current)
    #expect(try match(1) == nil)
    #expect(try device("a")?.nextKey == nil)
    // Told twice, or after a lost answer.
    #expect(try promote(2).id == "a")
  }

  @Test func `a change of keys can be begun anew and called off`() throws {
    try admit(1, "a")
    try setNextKey(2, of: 1)
    try setNextKey(2, of: 1)
    try setNextKey(3, of: 1)
    #expect(try match(2) == nil)
    #expect(try match(3)?.key == .next)
    try setNextKey(nil, of: 1)
    #expect(try match(3) == nil)
    #expect(throws: StoreError.noSuchDevice) { try promote(3) }
  }

  @Test func `a key is never that of two devices`() throws {
    try admit(1, "a")
    try admit(2, "b")
    try setNextKey(3, of: 1)
    #expect(throws: StoreError.admission(.keyBound(to: "b"))) { try setNextKey(2, of: 1) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try setNextKey(3, of: 2) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try setNextKey(1, of: 1) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try admit(3, "c") }
    try revoke("b")
    #expect(throws: StoreError.admission(.keyBound(to: "b"))) { try setNextKey(2, of: 1) }
  }

  @Test func `only a key that is in use can be changed`() throws {
    #expect(throws: StoreError.noSuchDevice) { try setNextKey(2, of: 1) }
    try admit(1, "a")
    try setNextKey(2, of: 1)
    #expect(throws: StoreError.noSuchDevice) { try setNextKey(3, of: 2) }
    try revoke("a")
    #expect(throws: StoreError.admission(.revoked("a"))) { try setNextKey(3, of: 1) }
    #expect(throws: StoreError.admission(.revoked("a"))) { try promote(2) }
  }

  // MARK: Going

  @Test func `both keys of a revoked device stay refused`() throws {
    try admit(1, "a")
    try setNextKey(2, of: 1)
    #expect(try revoke("a").status == .revoked)
    #expect(throws: StoreError.admission(.revoked("a"))) { try admit(1, "a") }
    #expect(throws: StoreError.admission(.revoked("a"))) { try admit(2, "b") }
    #expect(try match(1)?.device.status == .revoked)
    #expect(try revoke("a").status == .revoked)
    #expect(throws: StoreError.noSuchDevice) { try revoke("nobody") }
  }

  @Test func `the ID of a revoked device is free for another key`() throws {
    try admit(1, "a", at: 100)
    try revoke("a")
    try admit(2, "a", at: 200)
    #expect(try device("a")?.key == bytes(2))
    try revoke("a")
    // The last one that had it.
    #expect(try device("a")?.key == bytes(2))
    try admit(3, "a", at: 150)
    #expect(try device("a")?.key == bytes(3))
    #expect(try store.run { db throws(StoreError) in try db.devices().map(\.key) } == [bytes(3), bytes(2), bytes(1)])
  }

  @Test func `the key of a forgotten device is as good as any`() throws {
    try admit(1, "a")
    #expect(try forget("a").map(\.key) == [bytes(1)])
    #expect(try device("a") == nil)
    #expect(try admit(1, "b").isNew)
    try revoke("b")
    try forget("b")
    #expect(try admit(1, "c").isNew)
    #expect(throws: StoreError.noSuchDevice) { try forget("a") }
  }

  @Test func `by its key, a device is revoked and forgotten whoever else has its ID`() throws {
    func revoke(_ key: Int) throws -> DeviceRecord {
      try store.run { db throws(StoreError) in try db.revoke(key: bytes(key)) }
    }
    func forget(_ key: Int) throws -> DeviceRecord {
      try store.run { db throws(StoreError) in try db.forget(key: bytes(key)) }
    }
    try admit(1, "a")
    #expect(try revoke(1).status == .revoked)
    try admit(2, "a")
    #expect(try revoke(1).key == bytes(1))
    #expect(try device("a")?.status == .active)
    #expect(try forget(1).key == bytes(1))
    #expect(try match(1) == nil && device("a")?.key == bytes(2))
    #expect(throws: StoreError.noSuchDevice) { _ = try forget(1) }
    #expect(throws: StoreError.noSuchDevice) { _ = try revoke(1) }
  }

  @Test func `to forget a device does not let those back in that were revoked with its ID`() throws {
    try admit(1, "a")
    try revoke("a")
    try admit(2, "a")
    #expect(try forget("a").map(\.key) == [bytes(2)])
    #expect(throws: StoreError.admission(.revoked("a"))) { try admit(1, "a") }
    #expect(try forget("a").map(\.key) == [bytes(1)])
    #expect(try admit(1, "a").isNew)
  }
}
