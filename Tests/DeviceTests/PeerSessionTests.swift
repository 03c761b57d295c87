import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// How a session of two devices goes on: its keys are replaced, it expires, it ends with the peer.
@Suite(.serialized) struct PeerSessionTests {
  @Test func `keys are replaced while frames flow, and none is lost`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (LinkEnd, LinkEnd) in
        let quick: (inout PeerSettings) -> Void = { $0.rekeyAfter = .milliseconds(100) }
        let (one, two) = (LinkEnd(1, on: thread, quick), LinkEnd(2, on: thread, quick))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        return (one, two)
      })
    let state = Flow()
    let isDone = wait {
      thread.run {
        let (one, two) = pair
        deliver(one, two)
        for (from, to) in [(one, two), (two, one)] {
          guard let frame = from.seal([1], for: to) else {
            state.unsealed += 1
            continue
          }
          // Each frame arrives one round late, so that keys change while some are on their way.
          state.late.append((frame, from, to))
          if state.late.count > 2 {
            let (frame, from, to) = state.late.removeFirst()
            if to.open(frame, from: from.peer) == nil { state.lost += 1 }
          }
        }
        return one.links.counters.sessions >= 6
      } == true
    }
    #expect(isDone)
    thread.run {
      #expect(state.lost == 0 && state.unsealed == 0)
    }
    thread.stop()
  }

  // `@unchecked`: used on the loop's thread alone.
  private final class Flow: @unchecked Sendable {
    var late: [([UInt8], LinkEnd, LinkEnd)] = []
    var lost = 0
    var unsealed = 0
  }

  @Test func `keys are replaced after so many frames`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (LinkEnd, LinkEnd) in
        let few: (inout PeerSettings) -> Void = { $0.rekeyFrames = 100 }
        let (one, two) = (LinkEnd(1, on: thread, few), LinkEnd(2, on: thread, few))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        for _ in 0..<100 { _ = one.seal([1], for: two) }
        return (one, two)
      })
    #expect(wait { thread.run { !pair.0.outbox.isEmpty } == true })
    thread.stop()
  }

  @Test func `a session that is not used is not replaced, and forgotten in the end`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (LinkEnd, LinkEnd) in
        let quick: (inout PeerSettings) -> Void = {
          $0.rekeyAfter = .milliseconds(100)
          $0.expireAfter = .milliseconds(150)
        }
        let (one, two) = (LinkEnd(1, on: thread, quick), LinkEnd(2, on: thread, quick))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        return (one, two)
      })
    #expect(wait { thread.run { !pair.0.hasLinks && !pair.1.hasLinks } == true })
    thread.run { #expect(pair.0.links.counters.initiations <= 2) }
    thread.stop()
  }

  @Test func `after a sleep of the host, nothing is sealed or accepted by a session that should have ended`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (LinkEnd(1, on: thread), LinkEnd(2, on: thread))
      one.know([two.peer])
      two.know([one.peer])
      establish(one, two)
      let late = one.seal([1], for: two)
      for end in [one, two] { end.links.catchUp(at: .now()) }
      #expect(one.seal([2], for: two).flatMap { two.open($0, from: one.peer) } == [2])
      // No check has run meanwhile.
      for end in [one, two] { end.links.catchUp(at: Instant.now().advanced(by: .seconds(400))) }
      #expect(one.seal([3], for: two) == nil)
      #expect(late.flatMap { two.open($0, from: one.peer) } == nil)
    }
    thread.stop()
  }

  @Test func `a device that was started anew has a new session as soon as its peer sends`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (LinkEnd(1, on: thread), LinkEnd(2, on: thread))
      one.know([two.peer])
      two.know([one.peer])
      establish(one, two)
      let again = LinkEnd(2, on: thread)
      again.know([one.peer])
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { again.open($0, from: one.peer) } == nil)
      deliver(one, again)
      #expect(again.ready == [true])
      #expect(again.seal([2], for: one).flatMap { one.open($0, from: again.peer) } == [2])
      #expect(one.seal([3], for: again).flatMap { again.open($0, from: one.peer) } == [3])
    }
    thread.stop()
  }

  @Test func `a session outlives that the relay does not list the peer for a while`() throws {
    try withPair { one, two in
      establish(one, two)
      two.know([])
      two.know([one.peer])
      #expect(one.seal([1], for: two).flatMap { two.open($0, from: one.peer) } == [1])
    }
  }

  @Test func `nothing is kept of a peer that was sent away`() throws {
    try withPair { one, two in
      establish(one, two)
      one.links.drop(two.peer.address)
      #expect(!one.hasLinks)
    }
  }

  @Test func `a link ends with the peer's key`() throws {
    try withPair { one, two in
      establish(one, two)
      var other = two.peer
      one.know([other])
      #expect(one.hasLinks)
      other.key = testKey("new").publicKey
      one.know([other])
      #expect(!one.hasLinks)
    }
  }
}
