import TestSupport
import Testing
import Wire

@testable import Device

@Suite struct ReturningPeersTests {
  private func peer(_ number: UInt32, _ name: String? = nil) -> Peer {
    testPeer(IPv4Address(bits: number), name ?? "d\(number)")
  }

  @Test func `nobody hears of peers that are gone for a moment because the relay was`() {
    var returning = ReturningPeers()
    var told = returning.filter([.left(peer(2)), .left(peer(3)), .joined(peer(4))], isReturn: true)
    #expect(told == [.joined(peer(4))])
    #expect(Set(returning.peers.keys) == [IPv4Address(bits: 2), IPv4Address(bits: 3)])
    told = returning.filter([.joined(peer(2))], isReturn: false)
    #expect(told == [])
    told = returning.giveUp()
    #expect(told == [.left(peer(3))] && returning.peers.isEmpty)
  }

  @Test func `whoever has the address of one that is missed ends the wait`() {
    var returning = ReturningPeers()
    _ = returning.filter([.left(peer(2))], isReturn: true)
    let successor = peer(2, "successor")
    let told = returning.filter([.joined(successor)], isReturn: false)
    #expect(told == [.left(peer(2)), .joined(successor)])
    #expect(returning.peers.isEmpty)
  }

  @Test func `those who leave while the relay is there have left`() {
    var returning = ReturningPeers()
    let told = returning.filter([.left(peer(2))], isReturn: false)
    #expect(told == [.left(peer(2))])
    #expect(returning.peers.isEmpty)
  }
}

@Suite struct PeerBookTests {
  @Test func `a peer that is back has what it had told, and another at its address has not`() {
    let peer = testPeer(IPv4Address(bits: 2), "d2")
    var book = PeerBook(limit: 1)
    let record = book.record(of: peer)
    let information = Orchestration(deviceID: "d2", revision: 7, platform: "linux/arm64")
    let isNew = book.learn(information, of: record)
    #expect(isNew)
    _ = book.remove(peer)
    let back = book.record(of: peer)
    #expect(back.orchestration == information)
    _ = book.remove(peer)
    let other = book.record(of: testPeer(IPv4Address(bits: 2), "other"))
    #expect(other.orchestration == nil)
  }
}
