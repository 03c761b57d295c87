import TestSupport
import Testing
import Wire

@testable import Device

@Suite struct PeerTableTests {
  private let pool = IPv4Prefix(IPv4Address(bits: 0), length: 24)
  private let own = IPv4Address(bits: 1)
  private func peer(_ number: UInt32) -> Peer { testPeer(IPv4Address(bits: number), "d\(number)") }

  @Test func `an update that fits is applied, without the device itself`() {
    var table = PeerTable()
    #expect(table.apply(PeerUpdate(revision: 3, since: nil, joined: [peer(2)]), in: pool, except: own) == .applied)
    let update = PeerUpdate(revision: 4, since: 3, joined: [peer(1), peer(3)], left: [IPv4Address(bits: 2)])
    #expect(table.apply(update, in: pool, except: own) == .applied)
    #expect(Array(table.peers.keys) == [IPv4Address(bits: 3)])
  }

  @Test func `nobody is at the pool's network or broadcast address`() {
    var table = PeerTable()
    let update = PeerUpdate(revision: 0, since: nil, joined: [peer(0), peer(255), peer(254), peer(256)])
    #expect(table.apply(update, in: pool, except: own) == .applied)
    #expect(Array(table.peers.keys) == [IPv4Address(bits: 254)])
  }

  @Test func `an address that changes hands in one update has its new device`() {
    var table = PeerTable()
    _ = table.apply(PeerUpdate(revision: 0, since: nil, joined: [peer(2)]), in: pool, except: own)
    let successor = testPeer(IPv4Address(bits: 2), "successor")
    _ = table.apply(
      PeerUpdate(revision: 1, since: 0, joined: [successor], left: [successor.address]), in: pool, except: own)
    #expect(table.peers[successor.address] == successor)
  }

  @Test func `a relay cannot make a device remember peers without end`() {
    var table = PeerTable()
    let large = IPv4Prefix(IPv4Address(bits: 0), length: 8)
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
      #expect(table.apply(update, in: large, except: own) == .applied)
    }
    #expect(table.peers.count == 16_384)
    // Who is known can still change, and who leaves makes room.
    let left = PeerUpdate(revision: 5, since: 4, joined: [], left: peers(0).map(\.address))
    _ = table.apply(left, in: large, except: own)
    _ = table.apply(PeerUpdate(revision: 6, since: 5, joined: [some]), in: large, except: own)
    #expect(table.peers[some.address] == some)
  }

  @Test func `a gap is noticed, and so is an update before everything is known`() {
    var table = PeerTable()
    #expect(table.apply(PeerUpdate(revision: 2, since: 1, joined: []), in: pool, except: own) == .missedSome)
    _ = table.apply(PeerUpdate(revision: 2, since: nil, joined: [peer(2)]), in: pool, except: own)
    #expect(table.apply(PeerUpdate(revision: 5, since: 4, joined: [peer(3)]), in: pool, except: own) == .missedSome)
    #expect(table.peers[IPv4Address(bits: 3)] == nil)
  }

  @Test func `an update from before is left alone`() {
    var table = PeerTable()
    _ = table.apply(PeerUpdate(revision: 5, since: nil, joined: []), in: pool, except: own)
    #expect(table.apply(PeerUpdate(revision: 4, since: 3, joined: [peer(2)]), in: pool, except: own) == .outdated)
    #expect(table.peers[IPv4Address(bits: 2)] == nil)
  }

  @Test func `a peer that cannot be is left out`() {
    var table = PeerTable()
    let strange = [
      testPeer(IPv4Address(bits: 256), "far"),
      testPeer(IPv4Address(bits: 2), "\u{1B}[31m"),
    ]
    #expect(table.apply(PeerUpdate(revision: 1, since: nil, joined: strange), in: pool, except: own) == .applied)
    #expect(table.peers.isEmpty)
  }

  @Test func `events tell the difference that an update makes`() {
    var table = PeerTable()
    var told: [PeerEvent] = []
    func apply(_ update: PeerUpdate) -> [PeerEvent] {
      told = []
      _ = table.apply(update, in: pool, except: own) { told.append($0) }
      return told
    }
    let successor = testPeer(IPv4Address(bits: 2), "successor")
    #expect(apply(PeerUpdate(revision: 1, since: nil, joined: [peer(2)], more: true)) == [])
    #expect(Set(apply(PeerUpdate(revision: 1, since: 1, joined: [peer(3)])).map(\.text)) == ["+d2", "+d3"])
    #expect(apply(PeerUpdate(revision: 2, since: 1, joined: [peer(2)], left: [IPv4Address(bits: 9)])) == [])
    #expect(apply(PeerUpdate(revision: 3, since: 2, joined: [successor])).map(\.text) == ["-d2", "+successor"])
    #expect(apply(PeerUpdate(revision: 4, since: 3, joined: [], left: [IPv4Address(bits: 3)])).map(\.text) == ["-d3"])
    // After a new connection, the relay tells all; only what has changed meanwhile is news.
    table.expectSnapshot()
    let again = apply(PeerUpdate(revision: 0, since: nil, joined: [successor, peer(4)]))
    #expect(again.map(\.text) == ["+d4"])
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
