import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

@Suite struct InviteTests {
  @Test(arguments: StoreKind.allCases)
  func `an invite is good as often as it says`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let invite = try store.create(1, uses: 2)
    #expect(try store.invites() == [invite])
    #expect(try store.redeem(1, for: "a").usesLeft == 1)
    #expect(try store.redeem(1, for: "b").usesLeft == 0)
    #expect(throws: StoreError.invite(.usedUp)) { try store.redeem(1, for: "c") }
    #expect(try store.invites().map(\.usesLeft) == [0])
  }

  @Test(arguments: StoreKind.allCases)
  func `an invite's ID is short, and no two are the same`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let ids = try (0..<100).map { try store.create($0).id }
    #expect(Set(ids).count == 100)
    #expect(ids.allSatisfy { $0.utf8.count == 8 && $0.allSatisfy { "0123456789abcdefghjkmnpqrstvwxyz".contains($0) } })
  }

  @Test(arguments: StoreKind.allCases)
  func `all invites are revoked at once, and those that were good for something still are counted`(kind: StoreKind)
    throws
  {
    let store = try StoreFixture(kind)
    try store.create(1, uses: 2)
    try store.create(2)
    try store.create(3, expiresAt: 150)
    try store.create(4)
    try store.redeem(1)
    try store.redeem(2)
    try store.revokeInvite(store.create(5).id)
    #expect(try store.run { db throws(StoreError) in try db.revokeInvites(at: 200) } == 2)
    #expect(Set(try store.invites().map { $0.state(at: 200) }) == [.revoked, .usedUp, .expired])
    #expect(try store.run { db throws(StoreError) in try db.revokeInvites(at: 200) } == 0)
    #expect(throws: StoreError.invite(.revoked)) { try store.redeem(1) }
  }

  @Test(arguments: StoreKind.allCases)
  func `each reason why a token is refused has its own word`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    #expect(throws: StoreError.invite(.unknown)) { try store.redeem(9) }
    try store.create(1, expiresAt: 1000)
    #expect(throws: StoreError.invite(.expired)) { try store.redeem(1, at: 1000) }
    try store.redeem(1, at: 999)
    #expect(throws: StoreError.invite(.usedUp)) { try store.redeem(1) }
    try store.create(2, deviceID: "b")
    #expect(throws: StoreError.invite(.forAnotherDevice)) { try store.redeem(2, for: "a") }
    try store.redeem(2, for: "b")
    let invite = try store.create(3)
    #expect(try store.revokeInvite(invite.id).isRevoked)
    #expect(throws: StoreError.invite(.revoked)) { try store.redeem(3) }
    #expect(try store.revokeInvite(invite.id).isRevoked)
    #expect(throws: StoreError.noSuchInvite("nothing")) { try store.revokeInvite("nothing") }
  }

  @Test(arguments: StoreKind.allCases)
  func `an admission that is undone gives back the invite's use, the ID and the address`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.create(1)
    try store.admit(1, "a", token: 1)
    try store.lease(IPv4Address(bits: 0x0A00_0002), to: 1, at: 200)
    #expect(try store.invites().map { $0.state(at: 200) } == [.usedUp])
    try store.undo(1, "a")
    #expect(try store.invites().map { $0.state(at: 200) } == [.usable])
    #expect(try store.devices().count + store.leases().count == 0)
    // A second time changes nothing, and so does another ID.
    try store.undo(1, "a")
    try store.admit(2, "a", token: 1)
    try store.undo(2, "b")
    #expect(try store.invites().map(\.usesLeft) == [0])
    #expect(try store.devices().map(\.id) == ["a"])
  }

  @Test(arguments: StoreKind.allCases)
  func `an undone admission makes no invite good that is not`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let revoked = try store.create(1)
    try store.admit(1, "a", token: 1)
    try store.revokeInvite(revoked.id)
    try store.create(2)
    try store.admit(2, "b", token: 2)
    try store.undo(1, "a")
    try store.undo(2, "b")
    #expect(Set(try store.invites().map { $0.state(at: 1000) }) == [.revoked, .expired])
    #expect(throws: StoreError.invite(.revoked)) { try store.redeem(1) }
  }

  @Test(arguments: StoreKind.allCases)
  func `whom an operator has approved stays admitted`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.admit(1, "a", by: .approved)
    try store.undo(1, "a")
    #expect(try store.devices().map(\.id) == ["a"])
  }

  @Test(arguments: StoreKind.allCases)
  func `an invite says what it is good for at a time`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let invite = try store.create(1, expiresAt: 1000)
    #expect(invite.state(at: 999) == .usable)
    #expect(invite.state(at: 1000) == .expired)
    #expect(try store.redeem(1).state(at: 1000) == .usedUp)
    #expect(try store.revokeInvite(invite.id).state(at: 1) == .revoked)
  }

  @Test(arguments: StoreKind.allCases)
  func `an invite of no use, or for a token that has one, is not made`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.create(1)
    for (token, uses) in [(1, 1), (2, 0), (3, -1)] {
      let error = #expect(throws: StoreError.self) { try store.create(token, uses: uses) }
      guard case .badValue = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(try store.invites().count == 1)
  }

  @Test(arguments: StoreKind.allCases)
  func `an invite that is of no use any more is remembered for 30 days`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let far: Int64 = 1_000 * day
    try store.create(1, expiresAt: 10 * day, at: 0)
    try store.create(2, expiresAt: far, at: 0)
    try store.redeem(2, at: 10 * day)
    let revoked = try store.create(3, expiresAt: far, at: 0)
    try store.revokeInvite(revoked.id, at: 10 * day)
    try store.revokeInvite(revoked.id, at: 30 * day)
    try store.create(4, uses: 2, expiresAt: far, at: 0)
    try store.redeem(4, at: 10 * day)

    try store.create(5, expiresAt: far, at: 40 * day)
    #expect(throws: StoreError.invite(.expired)) { try store.redeem(1, at: 40 * day) }
    #expect(throws: StoreError.invite(.usedUp)) { try store.redeem(2, at: 40 * day) }
    #expect(throws: StoreError.invite(.revoked)) { try store.redeem(3, at: 40 * day) }

    try store.create(6, expiresAt: far, at: 40 * day + 1)
    for token in 1...3 { #expect(throws: StoreError.invite(.unknown)) { try store.redeem(token, at: 40 * day + 1) } }
    try store.redeem(4, at: 40 * day + 1)
  }

  @Test(arguments: StoreKind.allCases)
  func `a device that comes in by an invite says by which`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let invite = try store.create(1)
    #expect(try store.admit(1, "a", token: 1).device.admittedBy == .invite(invite.id))
    #expect(try store.invites().map(\.usesLeft) == [0])
  }

  @Test(arguments: StoreKind.allCases)
  func `an admission that fails does not use the invite up`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.create(1)
    try store.create(2)
    try store.admit(1, "a", token: 1)
    #expect(throws: StoreError.admission(.idTaken(by: bytes(1)))) { try store.admit(2, "a", token: 2) }
    #expect(throws: StoreError.admission(.keyBound(to: "a"))) { try store.admit(1, "b", token: 2) }
    try store.revoke("a")
    #expect(throws: StoreError.admission(.revoked("a"))) { try store.admit(1, "a", token: 2) }
    #expect(try store.admit(2, "a", token: 2).isNew)
  }

  @Test(arguments: StoreKind.allCases)
  func `a device that is in already needs no invite, as when the answer was lost`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.create(1)
    try store.admit(1, "a", token: 1)
    #expect(try store.admit(1, "a", token: 1).isNew == false)
  }

  @Test(arguments: StoreKind.allCases)
  func `who has no good invite does not learn which IDs are taken`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.create(1)
    try store.admit(1, "a", token: 1)
    #expect(throws: StoreError.invite(.usedUp)) { try store.admit(2, "a", token: 1) }
    #expect(throws: StoreError.invite(.unknown)) { try store.admit(2, "a", token: 9) }
  }

  @Test(arguments: StoreKind.allCases)
  func `of a hundred that come at once with an invite for ten, ten are let in`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let invite = try store.create(1, uses: 10)
    let results = Mailbox<Result<DeviceRecord, StoreError>>()
    let threads = (0..<4).map { thread in
      SystemThread.start(name: "poster") {
        for number in 0..<25 {
          let name = thread * 25 + number
          store.store.perform { db throws(StoreError) in
            try db.admit(key: bytes(name), id: "device-\(name)", redeeming: bytes(1), at: 200)
          } then: {
            results.put($0)
          }
        }
      }
    }
    for thread in threads { thread.join() }
    let all = results.waitFor(100)
    #expect(all.count { (try? $0.get()) != nil } == 10)
    #expect(all.count { $0 == .failure(.invite(.usedUp)) } == 90)
    let left = try #require(try store.invites().first)
    #expect(left.usesLeft == 0 && left.id == invite.id)
    #expect(try store.devices().count == 10)
  }
}
