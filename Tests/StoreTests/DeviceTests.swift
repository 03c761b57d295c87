import TestSupport
import Testing

@testable import Store

@Suite struct DeviceTests {
  @Test(arguments: StoreKind.allCases)
  func `an admitted device is found by its key and by its ID`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let expected = DeviceRecord(
      key: bytes(1), nextKey: nil, id: "a", status: .active, admittedBy: .approved, admittedAt: 100, lastSeen: 100)
    #expect(try store.admit(1, "a") == StoreFixture.Admitted(device: expected, isNew: true))
    #expect(try store.match(1) == DeviceMatch(device: expected, key: .current))
    #expect(try store.device("a") == expected)
    #expect(try store.match(2) == nil)
    #expect(try store.device("b") == nil)
  }

  @Test(arguments: StoreKind.allCases)
  func `a device that is admitted again stays as it is`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let first = try store.admit(1, "a")
    #expect(try store.admit(1, "a", at: 500) == StoreFixture.Admitted(device: first.device, isNew: false))
  }

  @Test(arguments: StoreKind.allCases)
  func `another key cannot have an ID that is taken`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    #expect(throws: StoreError.admission(.idTaken(by: bytes(1)))) { try store.admit(2, "a") }
  }

  @Test(arguments: StoreKind.allCases)
  func `a key cannot have another ID than its own`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try store.admit(1, "b") }
  }

  @Test(arguments: StoreKind.allCases)
  func `IDs may hold any text`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "kitchen")
    try store.admit(3, "Küche'; DROP TABLE devices; --")
    #expect(
      try store.devices().map(\.id)
        == ["Küche'; DROP TABLE devices; --", "kitchen"])
  }

  @Test(arguments: ["Kitchen.Hub", "kitchen_hub", "KITCHEN-HUB"], StoreKind.allCases)
  func `an ID that makes another's host name is refused until that one has gone`(id: String, kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "kitchen.hub")
    #expect(throws: StoreError.admission(.labelTaken(by: "kitchen.hub"))) { try store.admit(2, id) }
    #expect(try store.device(id) == nil)
    try store.admit(3, "kitchen.hub.")
    try store.revoke("kitchen.hub")
    try store.admit(2, id)
    #expect(throws: StoreError.admission(.labelTaken(by: id))) { try store.admit(4, "kitchen.hub") }
  }

  @Test(arguments: StoreKind.allCases)
  func `an invite is not used up by an ID that makes another's host name`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a.b")
    try store.create(9)
    #expect(throws: StoreError.admission(.labelTaken(by: "a.b"))) { try store.admit(2, "A-B", token: 9) }
    try store.admit(2, "c", token: 9)
  }

  @Test(arguments: [0, 31, 33], StoreKind.allCases)
  func `a key of another length than 32 bytes is not stored`(length: Int, kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let key = [UInt8](repeating: 1, count: length)
    let error = #expect(throws: StoreError.self) {
      try store.run { db throws(StoreError) in try db.admit(key: key, id: "a", by: .open, at: 1) }
    }
    guard case .badValue = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(try store.device("a") == nil)
  }

  @Test(arguments: [DeviceRecord.AdmissionMethod.open, .approved, .invite("k7m2p9qa")], StoreKind.allCases)
  func `how a device came in is remembered`(admitter: DeviceRecord.AdmissionMethod, kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a", by: admitter)
    #expect(try store.device("a")?.admittedBy == admitter)
  }

  @Test(arguments: StoreKind.allCases)
  func `a device was seen last when that was told last, since the clock may have been wrong before`(kind: StoreKind)
    throws
  {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.setNextKey(2, of: 1)
    try store.change { _ in [.seen(key: bytes(1), at: 300)] }
    #expect(try store.device("a")?.lastSeen == 300)
    try store.change { _ in [.seen(key: bytes(2), at: 400)] }
    #expect(try store.device("a")?.lastSeen == 400)
    try store.change { _ in [.seen(key: bytes(1), at: 200)] }
    #expect(try store.device("a")?.lastSeen == 200)
    // Forgotten meanwhile.
    try store.change { _ in [.seen(key: bytes(9), at: 200)] }
  }

  // MARK: A change of keys

  @Test(arguments: StoreKind.allCases)
  func `both keys are good until the device has come with the next one, and then that alone`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.setNextKey(2, of: 1)
    #expect(try store.match(1)?.key == .current)
    #expect(try store.match(2)?.key == .next)
    #expect(try store.match(2)?.device == store.match(1)?.device)
    #expect(try store.admit(2, "a").isNew == false)
    #expect(try store.promote(2).key == bytes(2))
    #expect(try store.match(2)?.key == .current)
    #expect(try store.match(1) == nil)
    #expect(try store.device("a")?.nextKey == nil)
    // Told twice, or after a lost answer.
    #expect(try store.promote(2).id == "a")
  }

  @Test(arguments: StoreKind.allCases)
  func `a change of keys can be begun anew and called off`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.setNextKey(2, of: 1)
    try store.setNextKey(2, of: 1)
    try store.setNextKey(3, of: 1)
    #expect(try store.match(2) == nil)
    #expect(try store.match(3)?.key == .next)
    try store.setNextKey(nil, of: 1)
    #expect(try store.match(3) == nil)
    #expect(throws: StoreError.noSuchDevice) { try store.promote(3) }
  }

  @Test(arguments: StoreKind.allCases)
  func `a key is never that of two devices`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.admit(2, "b")
    try store.setNextKey(3, of: 1)
    #expect(throws: StoreError.admission(.keyBound(to: "b"))) { try store.setNextKey(2, of: 1) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try store.setNextKey(3, of: 2) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try store.setNextKey(1, of: 1) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try store.admit(3, "c") }
    try store.revoke("b")
    #expect(throws: StoreError.admission(.keyBound(to: "b"))) { try store.setNextKey(2, of: 1) }
  }

  @Test(arguments: StoreKind.allCases)
  func `only a key that is in use can be changed`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    #expect(throws: StoreError.noSuchDevice) { try store.setNextKey(2, of: 1) }
    try store.admit(1, "a")
    try store.setNextKey(2, of: 1)
    #expect(throws: StoreError.noSuchDevice) { try store.setNextKey(3, of: 2) }
    try store.revoke("a")
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.setNextKey(3, of: 1) }
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.promote(2) }
  }

  // MARK: Going

  @Test(arguments: StoreKind.allCases)
  func `both keys of a revoked device stay refused`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.setNextKey(2, of: 1)
    #expect(try store.revoke("a").status == .revoked)
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.admit(1, "a") }
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.admit(2, "b") }
    #expect(try store.match(1)?.device.status == .revoked)
    #expect(try store.revoke("a").status == .revoked)
    #expect(throws: StoreError.noSuchDevice) { try store.revoke("nobody") }
  }

  @Test(arguments: StoreKind.allCases)
  func `the ID of a revoked device is free for another key`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a", at: 100)
    try store.revoke("a")
    try store.admit(2, "a", at: 200)
    #expect(try store.device("a")?.key == bytes(2))
    try store.revoke("a")
    // The last one that had it.
    #expect(try store.device("a")?.key == bytes(2))
    try store.admit(3, "a", at: 150)
    #expect(try store.device("a")?.key == bytes(3))
    #expect(try store.devices().map(\.key) == [bytes(3), bytes(2), bytes(1)])
  }

  @Test(arguments: StoreKind.allCases)
  func `the key of a forgotten device is as good as any`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    #expect(try store.forget("a").map(\.key) == [bytes(1)])
    #expect(try store.device("a") == nil)
    #expect(try store.admit(1, "b").isNew)
    try store.revoke("b")
    try store.forget("b")
    #expect(try store.admit(1, "c").isNew)
    #expect(throws: StoreError.noSuchDevice) { try store.forget("a") }
  }

  @Test(arguments: StoreKind.allCases)
  func `by its key, a device is revoked and forgotten whoever else has its ID`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    func revoke(_ key: Int) throws -> DeviceRecord {
      try store.run { db throws(StoreError) in try db.revoke(key: bytes(key)) }
    }
    func forget(_ key: Int) throws -> [DeviceRecord] {
      try store.run { db throws(StoreError) in try db.forget(key: bytes(key)) }
    }
    try store.admit(1, "a")
    #expect(try revoke(1).status == .revoked)
    try store.admit(2, "a")
    #expect(try revoke(1).key == bytes(1))
    #expect(try store.device("a")?.status == .active)
    #expect(try forget(1).map(\.key) == [bytes(1)])
    #expect(try store.match(1) == nil && store.device("a")?.key == bytes(2))
    #expect(throws: StoreError.noSuchDevice) { _ = try forget(1) }
    #expect(throws: StoreError.noSuchDevice) { _ = try revoke(1) }
  }

  @Test(arguments: StoreKind.allCases)
  func `to forget a device does not let those back in that were revoked with its ID`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a")
    try store.revoke("a")
    try store.admit(2, "a")
    #expect(try store.forget("a").map(\.key) == [bytes(2)])
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.admit(1, "a") }
    #expect(try store.forget("a").map(\.key) == [bytes(1)])
    #expect(try store.admit(1, "a").isNew)
  }
}
