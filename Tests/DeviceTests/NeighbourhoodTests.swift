import TestSupport
import Testing
import Wire

@testable import Device

@Suite struct NeighbourhoodTests {
  private func peer(_ number: UInt32) -> Peer { testPeer(IPv4Address(bits: number), "d\(number)") }

  private func neighbourhood(poolLength: Int = 24) -> Neighbourhood {
    let neighbourhood = Neighbourhood(deviceID: "own")
    neighbourhood.rejoin(membership(poolLength: poolLength))
    return neighbourhood
  }

  private func membership(poolLength: Int = 24) -> Membership {
    Membership(
      address: IPv4Address(bits: 1), pool: IPv4Prefix(IPv4Address(bits: 0), length: poolLength),
      relayAddress: IPv4Address(bits: 1))
  }

  @Test func `an update that fits is applied, without the device itself`() {
    let table = neighbourhood()
    #expect(table.apply(PeerUpdate(revision: 3, since: nil, joined: [peer(2)])) == .applied)
    let update = PeerUpdate(revision: 4, since: 3, joined: [peer(1), peer(3)], left: [IPv4Address(bits: 2)])
    #expect(table.apply(update) == .applied)
    #expect(table.listed.map(\.address) == [IPv4Address(bits: 3)])
  }

  @Test func `nobody is at the pool's network or broadcast address`() {
    let table = neighbourhood()
    let update = PeerUpdate(revision: 0, since: nil, joined: [peer(0), peer(255), peer(254), peer(256)])
    #expect(table.apply(update) == .applied)
    #expect(table.listed.map(\.address) == [IPv4Address(bits: 254)])
  }

  @Test func `an address that changes hands in one update has its new device`() {
    let table = neighbourhood()
    _ = table.apply(PeerUpdate(revision: 0, since: nil, joined: [peer(2)]))
    let successor = testPeer(IPv4Address(bits: 2), "successor")
    _ = table.apply(
      PeerUpdate(revision: 1, since: 0, joined: [successor], left: [successor.address]))
    #expect(table.listed(successor.address)?.peer == successor)
  }

  @Test func `a relay cannot make a device remember peers without end`() {
    let table = neighbourhood(poolLength: 8)
    let some = peer(2)
    func peers(_ part: Int) -> [Peer] {
      (0..<5000).map { number in
        var peer = some
        peer.address = IPv4Address(bits: UInt32(10 + part * 5000 + number))
        return peer
      }
    }
    for part in 0..<5 {
      let update = PeerUpdate(revision: part, since: part == 0 ? nil : part - 1, joined: peers(part))
      #expect(table.apply(update) == .applied)
    }
    #expect(table.listedCount == 16_384)
    // A known peer can still change, and a peer that leaves makes room.
    let left = PeerUpdate(revision: 5, since: 4, joined: [], left: peers(0).map(\.address))
    _ = table.apply(left)
    _ = table.apply(PeerUpdate(revision: 6, since: 5, joined: [some]))
    #expect(table.listed(some.address)?.peer == some)
  }

  @Test func `a gap is noticed, and so is an update before everything is known`() {
    let table = neighbourhood()
    #expect(table.apply(PeerUpdate(revision: 2, since: 1, joined: [])) == .missedSome)
    _ = table.apply(PeerUpdate(revision: 2, since: nil, joined: [peer(2)]))
    #expect(table.apply(PeerUpdate(revision: 5, since: 4, joined: [peer(3)])) == .missedSome)
    #expect(table.listed(IPv4Address(bits: 3)) == nil)
  }

  @Test func `an update from before is left alone`() {
    let table = neighbourhood()
    _ = table.apply(PeerUpdate(revision: 5, since: nil, joined: []))
    #expect(table.apply(PeerUpdate(revision: 4, since: 3, joined: [peer(2)])) == .outdated)
    #expect(table.listed(IPv4Address(bits: 2)) == nil)
  }

  @Test func `a peer that cannot be is left out`() {
    let table = neighbourhood()
    let strange = [
      testPeer(IPv4Address(bits: 256), "far"),
      testPeer(IPv4Address(bits: 2), "\u{1B}[31m"),
    ]
    #expect(table.apply(PeerUpdate(revision: 1, since: nil, joined: strange)) == .applied)
    #expect(table.peers.isEmpty)
  }

  @Test func `events tell the difference that an update makes`() {
    let table = neighbourhood()
    var told: [PeerEvent] = []
    func apply(_ update: PeerUpdate) -> [PeerEvent] {
      told = []
      _ = table.apply(update) { told.append($0.event) }
      return told
    }
    let successor = testPeer(IPv4Address(bits: 2), "successor")
    #expect(apply(PeerUpdate(revision: 1, since: nil, joined: [peer(2)], more: true)) == [])
    #expect(Set(apply(PeerUpdate(revision: 1, since: 1, joined: [peer(3)])).map(\.text)) == ["+d2", "+d3"])
    #expect(apply(PeerUpdate(revision: 2, since: 1, joined: [peer(2)], left: [IPv4Address(bits: 9)])) == [])
    #expect(apply(PeerUpdate(revision: 3, since: 2, joined: [successor])).map(\.text) == ["-d2", "+successor"])
    #expect(apply(PeerUpdate(revision: 4, since: 3, joined: [], left: [IPv4Address(bits: 3)])).map(\.text) == ["-d3"])
    // On a new connection the relay lists all peers; only changes are reported.
    table.rejoin(membership())
    let again = apply(PeerUpdate(revision: 0, since: nil, joined: [successor, peer(4)]))
    #expect(again.map(\.text) == ["+d4"])
  }

  /// A neighbourhood with peers before and after a new connection, and the changes reported.
  private func reconnected(_ before: [Peer], _ after: [Peer]) -> (table: Neighbourhood, told: [String]) {
    let table = neighbourhood()
    _ = table.apply(PeerUpdate(revision: 1, since: nil, joined: before))
    table.rejoin(membership())
    var told: [String] = []
    _ = table.apply(PeerUpdate(revision: 1, since: nil, joined: after)) { told.append($0.event.text) }
    return (table, told)
  }

  @Test func `nobody hears of peers that are gone for a moment because the relay was`() {
    let (table, told) = reconnected([peer(2), peer(3)], [peer(4)])
    #expect(told == ["+d4"])
    #expect(Set(table.returning.keys) == [IPv4Address(bits: 2), IPv4Address(bits: 3)])
    _ = table.apply(PeerUpdate(revision: 2, since: 1, joined: [peer(2)])) { _ in
      Issue.record("the peer is as it was, so there is nothing to tell")
    }
    #expect(table.endReturn().map(\.peer.deviceID) == ["d3"])
    #expect(table.returning.isEmpty)
  }

  @Test func `whoever has the address of one that is missed ends the wait`() {
    let (table, told) = reconnected([peer(2)], [])
    #expect(told.isEmpty)
    var events: [PeerEvent] = []
    let successor = testPeer(IPv4Address(bits: 2), "successor")
    _ = table.apply(PeerUpdate(revision: 2, since: 1, joined: [successor])) { events.append($0.event) }
    #expect(events == [.left(peer(2)), .joined(successor)])
    #expect(table.returning.isEmpty)
  }

  @Test func `those who leave while the relay is there have left`() {
    let (table, _) = reconnected([peer(2)], [peer(2)])
    var events: [PeerEvent] = []
    _ = table.apply(PeerUpdate(revision: 2, since: 1, joined: [], left: [IPv4Address(bits: 2)])) {
      events.append($0.event)
    }
    #expect(events == [.left(peer(2))])
    #expect(table.returning.isEmpty && table.peers.isEmpty)
  }
}

@Suite struct OrchestrationCacheTests {
  @Test func `a peer that is back has what it had told, and another at its address has not`() {
    let relay = FrameCarrier()
    let peer = testPeer(IPv4Address(bits: 2), "d2")
    var cache = OrchestrationCache(limit: 1)
    let record = cache.record(of: PeerState(peer, relay: relay))
    let information = Orchestration(deviceID: "d2", revision: 7, platform: "linux/arm64")
    let isNew = cache.learn(information, of: record)
    #expect(isNew)
    cache.remove(record)
    let back = cache.record(of: PeerState(peer, relay: relay))
    #expect(back.orchestration == information)
    cache.remove(back)
    let other = cache.record(of: PeerState(testPeer(IPv4Address(bits: 2), "other"), relay: relay))
    #expect(other.orchestration == nil)
  }
}

extension PeerEvent {
  fileprivate var text: String {
    switch self {
    case .joined(let peer): "+\(peer.deviceID)"
    case .left(let peer): "-\(peer.deviceID)"
    case .changed(let peer, _): "=\(peer.deviceID)"
    }
  }
}
