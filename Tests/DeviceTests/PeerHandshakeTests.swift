import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// The handshake of two devices, with the test as relay: it delivers, changes or drops every message.
@Suite(.serialized) struct PeerHandshakeTests {
  @Test func `an initiation and its answer make one session, which the first frame confirms`() throws {
    try withPair { one, two in
      one.begin(with: two)
      deliver(one, two)
      #expect(one.ready == [true] && two.ready.isEmpty)
      #expect(two.seal([1], for: one) == nil)
      let frame = one.seal([1, 2, 3], for: two)
      #expect(frame.flatMap { two.open($0, from: one.peer) } == [1, 2, 3])
      #expect(two.ready == [false])
      let back = two.seal([4], for: one)
      #expect(back.flatMap { one.open($0, from: two.peer) } == [4])
      #expect(one.links.counters.sessions == 1 && two.links.counters.sessions == 1)
    }
  }

  @Test(arguments: [true, false])
  func `of two that begin at once, one answers the other, and one session results`(isFirstFaster: Bool) throws {
    try withPair { one, two in
      one.begin(with: two)
      two.begin(with: one)
      if isFirstFaster { deliver(one, two) } else { deliver(two, one) }
      #expect(one.ready.count + two.ready.count == 1)
      let (initiator, responder) = one.ready == [true] ? (one, two) : (two, one)
      #expect(initiator.peer.key.bytes.lexicographicallyPrecedes(responder.peer.key.bytes))
      let frame = initiator.seal([7], for: responder)
      #expect(frame.flatMap { responder.open($0, from: initiator.peer) } == [7])
      #expect(responder.seal([8], for: initiator).flatMap { initiator.open($0, from: responder.peer) } == [8])
    }
  }

  @Test func `an initiation that is lost is sent anew, with other keys`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (LinkEnd, LinkEnd) in
        let (one, two) = (LinkEnd(1, on: thread), LinkEnd(2, on: thread))
        one.know([two.peer])
        two.know([one.peer])
        one.begin(with: two)
        return (one, two)
      })
    #expect(wait { thread.run { pair.0.outbox.count >= 2 } == true })
    thread.run {
      let (one, two) = pair
      #expect(one.outbox[0].payload != one.outbox[1].payload)
      one.outbox.removeFirst()
      deliver(one, two)
      #expect(one.ready == [true])
    }
    thread.stop()
  }

  @Test func `no message of a handshake is taken with a bit changed, cut or prolonged`() throws {
    try withPair { one, two in
      one.begin(with: two)
      guard let initiation = one.outbox.first?.payload else { return }
      one.outbox = []
      for index in initiation.indices where index != 0 {
        var changed = initiation
        changed[index] ^= 0x10
        two.take(changed, from: one.peer)
      }
      for length in [0, 7, 8, 40, initiation.count - 1] { two.take(Array(initiation.prefix(length)), from: one.peer) }
      two.take(initiation + [0], from: one.peer)
      #expect(two.outbox.isEmpty && two.ready.isEmpty)
    }
    try withPair { one, two in
      one.begin(with: two)
      two.take(one.outbox.removeFirst().payload, from: one.peer)
      guard let response = two.outbox.first?.payload else {
        Issue.record("no response")
        return
      }
      for index in response.indices {
        var changed = response
        changed[index] ^= 0x10
        one.take(changed, from: two.peer)
      }
      #expect(one.ready.isEmpty)
      // The forged responses have not ended the attempt.
      one.take(response, from: two.peer)
      #expect(one.ready == [true])
      // A second one is ignored.
      one.take(response, from: two.peer)
      #expect(one.ready == [true])
    }
  }

  @Test func `a replayed initiation does not disturb the session`() throws {
    try withPair { one, two in
      one.begin(with: two)
      guard let initiation = one.outbox.first?.payload else { return }
      deliver(one, two)
      #expect(one.seal([1], for: two).flatMap { two.open($0, from: one.peer) } == [1])
      for _ in 0..<5 { two.take(initiation, from: one.peer) }
      two.outbox = []
      #expect(two.seal([2], for: one).flatMap { one.open($0, from: two.peer) } == [2])
      #expect(one.seal([3], for: two).flatMap { two.open($0, from: one.peer) } == [3])
      #expect(two.links.counters.sessions == 1)
    }
  }

  @Test func `a flood of initiations is answered only so often`() throws {
    try withPair { one, two in
      for _ in 0..<200 {
        one.know([])
        one.know([two.peer])
        one.begin(with: two)
        // Before the connection's queue is full.
        _ = one.outbox
      }
      let began = Instant.now()
      for (payload, _) in one.outbox { two.take(payload, from: one.peer) }
      let most = 21 + Int(5 * Instant.now().since(began).seconds)
      #expect(two.outbox.count <= most)
      #expect(two.links.counters.limited >= 200 - most)
    }
  }

  @Test func `an initiation may come before the relay has told of the peer`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (LinkEnd(1, on: thread), LinkEnd(2, on: thread))
      one.know([two.peer])
      one.begin(with: two)
      deliver(one, two)
      #expect(one.ready.isEmpty)
      two.know([one.peer])
      deliver(one, two)
      #expect(one.ready == [true])
    }
    thread.stop()
  }

  @Test(arguments: [
    ([CipherSuite.aes256GCM, .chaCha20Poly1305], [CipherSuite.chaCha20Poly1305, .aes256GCM], CipherSuite.aes256GCM),
    ([.aes256GCM, .chaCha20Poly1305], [.chaCha20Poly1305], .chaCha20Poly1305),
    ([.chaCha20Poly1305], [.aes256GCM, .chaCha20Poly1305], .chaCha20Poly1305),
  ])
  func `the cipher is the best that both have`(ones: [CipherSuite], twos: [CipherSuite], expected: CipherSuite) throws {
    let changes = PairChanges(one: { $0.ciphers = CipherList(ones) }, two: { $0.ciphers = CipherList(twos) })
    try withPair(changes) { one, two in
      establish(one, two)
      #expect(one.state(two.peer)?.link?.current?.suite == expected)
      #expect(two.state(one.peer)?.link?.current?.suite == expected)
    }
  }

  @Test func `devices without a common cipher say so`() throws {
    try withPair(
      PairChanges(
        one: { $0.ciphers = CipherList([.aes256GCM]) }, two: { $0.ciphers = CipherList([.chaCha20Poly1305]) })
    ) {
      one, two in
      one.begin(with: two)
      #expect(one.outbox.isEmpty)
      #expect(one.lines.first?.contains("no cipher in common") == true)
    }
  }

  @Test func `a relay that vouches for another key than the pinned one gets nothing`() throws {
    try withPair(PairChanges(one: { $0.pinnedKeys = ["device-2": testKey("somebody else").publicKey] })) { one, two in
      one.begin(with: two)
      #expect(one.outbox.isEmpty)
      #expect(one.lines.first?.contains("peer-keys") == true)
      two.begin(with: one)
      deliver(one, two)
      #expect(two.ready.isEmpty && !one.hasLinks)
    }
  }
}
