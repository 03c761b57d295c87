import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

@Suite final class InviteTests {
  private let directory = TemporaryDirectory()
  private let store: SQLiteStore

  init() throws {
    store = try SQLiteStore(directory: directory.path)
  }

  @discardableResult
  private func create(
    _ token: Int, uses: Int = 1, expiresAt: Int64 = 1000, deviceID: String? = nil, at now: Int64 = 100
  ) throws -> InviteRecord {
    try store.run { db throws(StoreError) in
      try db.createInvite(tokenHash: bytes(token), uses: uses, expiresAt: expiresAt, deviceID: deviceID, at: now)
    }
  }

  @discardableResult
  private func redeem(_ token: Int, for id: String = "a", at now: Int64 = 200) throws -> InviteRecord {
    try store.run { db throws(StoreError) in try db.redeem(bytes(token), forDevice: id, at: now) }
  }

  @discardableResult
  private func admit(_ key: Int, _ id: String, token: Int, at now: Int64 = 200) throws -> Admission {
    try store.run { db throws(StoreError) in
      try db.admit(key: bytes(key), id: id, redeeming: bytes(token), at: now)
    }
  }

  @discardableResult
  private func revoke(_ id: String, at now: Int64 = 200) throws -> InviteRecord {
    try store.run { db throws(StoreError) in try db.revokeInvite(id: id, at: now) }
  }

  private func invites() throws -> [InviteRecord] {
    try store.run { db throws(StoreError) in try db.invites() }
  }

  @Test func `an invite is good as often as it says`() throws {
    let invite = try create(1, uses: 2)
    #expect(try invites() == [invite])
    #expect(try redeem(1, for: "a").usesLeft == 1)
    #expect(try redeem(1, for: "b").usesLeft == 0)
    #expect(throws: StoreError.invite(.usedUp)) { try redeem(1, for: "c") }
    #expect(try invites().map(\.usesLeft) == [0])
  }

  @Test func `an invite's ID is short, and no two are the same`() throws {
    let ids = try (0..<100).map { try create($0).id }
    #expect(Set(ids).count == 100)
    #expect(ids.allSatisfy { $0.utf8.count == 8 && $0.allSatisfy { "0123456789abcdefghjkmnpqrstvwxyz".contains($0) } })
  }

  @Test func `all invites are revoked at once, and those that were good for something still are counted`() throws {
    try create(1, uses: 2)
    try create(2)
    try create(3, expiresAt: 150)
    try create(4)
    try redeem(1)
    try redeem(2)
    try revoke(create(5).id)
    #expect(try store.run { db throws(StoreError) in try db.revokeInvites(at: 200) } == 2)
    #expect(Set(try invites().map { $0.state(at: 200) }) == [.revoked, .usedUp, .expired])
    #expect(try store.run { db throws(StoreError) in try db.revokeInvites(at: 200) } == 0)
    #expect(throws: StoreError.invite(.revoked)) { try redeem(1) }
  }

  @Test func `each reason why a token is refused has its own word`() throws {
    #expect(throws: StoreError.invite(.unknown)) { try redeem(9) }
    try create(1, expiresAt: 1000)
    #expect(throws: StoreError.invite(.expired)) { try redeem(1, at: 1000) }
    try redeem(1, at: 999)
    #expect(throws: StoreError.invite(.usedUp)) { try redeem(1) }
    try create(2, deviceID: "b")
    #expect(throws: StoreError.invite(.forAnotherDevice)) { try redeem(2, for: "a") }
    try redeem(2, for: "b")
    let invite = try create(3)
    #expect(try revoke(invite.id).isRevoked)
    #expect(throws: StoreError.invite(.revoked)) { try redeem(3) }
    #expect(try revoke(invite.id).isRevoked)
    #expect(throws: StoreError.noSuchInvite("nothing")) { try revoke("nothing") }
  }

  private func undo(_ key: Int, _ id: String) throws {
    try store.run { db throws(StoreError) in try db.undoAdmission(key: bytes(key), id: id) }
  }

  @Test func `an admission that is undone gives back the invite's use, the ID and the address`() throws {
    try create(1)
    try admit(1, "a", token: 1)
    try store.run { db throws(StoreError) in try db.lease(IPv4Address(bits: 0x0A00_0002), toKey: bytes(1), at: 200) }
    #expect(try invites().map { $0.state(at: 200) } == [.usedUp])
    try undo(1, "a")
    #expect(try invites().map { $0.state(at: 200) } == [.usable])
    #expect(try store.run { db throws(StoreError) in try db.devices().count + db.leases().count } == 0)
    // A second time changes nothing, and so does another ID.
    try undo(1, "a")
    try admit(2, "a", token: 1)
    try undo(2, "b")
    #expect(try invites().map(\.usesLeft) == [0])
    #expect(try store.run { db throws(StoreError) in try db.devices().map(\.id) } == ["a"])
  }

  @Test func `an undone admission makes no invite good that is not`() throws {
    let revoked = try create(1)
    try admit(1, "a", token: 1)
    try revoke(revoked.id)
    try create(2)
    try admit(2, "b", token: 2)
    try undo(1, "a")
    try undo(2, "b")
    #expect(Set(try invites().map { $0.state(at: 1000) }) == [.revoked, .expired])
    #expect(throws: StoreError.invite(.revoked)) { try redeem(1) }
  }

  @Test func `whom an operator has approved stays admitted`() throws {
    try store.run { db throws(StoreError) in try db.admit(key: bytes(1), id: "a", by: .approved, at: 1) }
    try undo(1, "a")
    #expect(try store.run { db throws(StoreError) in try db.devices().map(\.id) } == ["a"])
  }

  @Test func `an invite says what it is good for at a time`() throws {
    let invite = try create(1, expiresAt: 1000)
    #expect(invite.state(at: 999) == .usable)
    #expect(invite.state(at: 1000) == .expired)
    #expect(try redeem(1).state(at: 1000) == .usedUp)
    #expect(try revoke(invite.id).state(at: 1) == .revoked)
  }

  @Test func `an invite of no use, or for a token that has one, is not made`() throws {
    try create(1)
    for (token, uses) in [(1, 1), (2, 0), (3, -1)] {
      let error = #expect(throws: StoreError.self) { try create(token, uses: uses) }
      guard case .badValue = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(try invites().count == 1)
  }

  @Test func `an invite that is of no use any more is remembered for 30 days`() throws {
    let far: Int64 = 1_000 * day
    try create(1, expiresAt: 10 * day, at: 0)
    try create(2, expiresAt: far, at: 0)
    try redeem(2, at: 10 * day)
    let revoked = try create(3, expiresAt: far, at: 0)
    try revoke(revoked.id, at: 10 * day)
    try revoke(revoked.id, at: 30 * day)
    try create(4, uses: 2, expiresAt: far, at: 0)
    try redeem(4, at: 10 * day)

    try create(5, expiresAt: far, at: 40 * day)
    #expect(throws: StoreError.invite(.expired)) { try redeem(1, at: 40 * day) }
    #expect(throws: StoreError.invite(.usedUp)) { try redeem(2, at: 40 * day) }
    #expect(throws: StoreError.invite(.revoked)) { try redeem(3, at: 40 * day) }

    try create(6, expiresAt: far, at: 40 * day + 1)
    for token in 1...3 { #expect(throws: StoreError.invite(.unknown)) { try redeem(token, at: 40 * day + 1) } }
    try redeem(4, at: 40 * day + 1)
  }

  @Test func `a device that comes in by an invite says by which`() throws {
    let invite = try create(1)
    #expect(try admit(1, "a", token: 1).device.admittedBy == .invite(invite.id))
    #expect(try invites().map(\.usesLeft) == [0])
  }

  @Test func `an admission that fails does not use the invite up`() throws {
    try create(1)
    try create(2)
    try admit(1, "a", token: 1)
    #expect(throws: StoreError.admission(.idTaken(by: bytes(1)))) { try admit(2, "a", token: 2) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try admit(1, "b", token: 2) }
    try store.run { db throws(StoreError) in try db.revoke(id: "a") }
    #expect(throws: StoreError.admission(.revoked("a"))) { try admit(1, "a", token: 2) }
    #expect(try admit(2, "a", token: 2).isNew)
  }

  @Test func `nor does one whose failure the operation goes on after`() throws {
    try create(1)
    let left = try store.run { db throws(StoreError) in
      try db.admit(key: bytes(1), id: "a", by: .open, at: 1)
      #expect(throws: StoreError.self) { try db.admit(key: bytes(2), id: "a", redeeming: bytes(1), at: 1) }
      return try db.invites().map(\.usesLeft)
    }
    #expect(left == [1])
  }

  @Test func `a device that is in already needs no invite, as when the answer was lost`() throws {
    try create(1)
    try admit(1, "a", token: 1)
    #expect(try admit(1, "a", token: 1).isNew == false)
  }

  @Test func `who has no good invite does not learn which IDs are taken`() throws {
    try create(1)
    try admit(1, "a", token: 1)
    #expect(throws: StoreError.invite(.usedUp)) { try admit(2, "a", token: 1) }
    #expect(throws: StoreError.invite(.unknown)) { try admit(2, "a", token: 9) }
  }

  @Test func `of a hundred that come at once with an invite for ten, ten are let in`() throws {
    let invite = try create(1, uses: 10)
    let results = Mailbox<Result<Admission, StoreError>>()
    let store = store
    let threads = (0..<4).map { thread in
      SystemThread.start(name: "poster") {
        for number in 0..<25 {
          let name = thread * 25 + number
          store.perform { db throws(StoreError) in
            try db.admit(key: bytes(name), id: "device-\(name)", redeeming: bytes(1), at: 200)
          } then: {
            results.put($0)
          }
        }
      }
    }
    for thread in threads { thread.join() }
    let all = results.waitFor(100)
    #expect(all.count { (try? $0.get())?.isNew == true } == 10)
    #expect(all.count { $0 == .failure(.invite(.usedUp)) } == 90)
    let left = try #require(try invites().first)
    #expect(left.usesLeft == 0 && left.id == invite.id)
    #expect(try store.run { db throws(StoreError) in try db.devices().count } == 10)
  }
}
