import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// Sealed frames between two devices: which are opened, once, and which never.
@Suite(.serialized) struct PeerFrameTests {
  @Test func `a frame is taken once, in any order within the window, and never with a bit changed`() throws {
    try withPair { one, two in
      establish(one, two)
      let frames = (0..<100).compactMap { one.seal([UInt8($0)], for: two) }
      #expect(frames.count == 100)
      for (number, frame) in frames.enumerated().reversed() {
        #expect(two.open(frame, from: one.peer) == [UInt8(number)])
        #expect(two.open(frame, from: one.peer) == nil)
      }
      #expect(two.links.counters.replayed == 100)
      guard let frame = one.seal(Array("nobody changes this".utf8), for: two) else { return }
      for index in frame.indices {
        for bit in 0..<8 {
          var changed = frame
          changed[index] ^= 1 << UInt8(bit)
          #expect(two.open(changed, from: one.peer) == nil)
        }
      }
      for length in 0..<frame.count { #expect(two.open(Array(frame.prefix(length)), from: one.peer) == nil) }
      #expect(two.open(frame + [0], from: one.peer) == nil)
      #expect(two.open(frame, from: one.peer) == Array("nobody changes this".utf8))
    }
  }

  @Test func `a frame that comes from far behind the window is dropped`() throws {
    try withPair { one, two in
      establish(one, two)
      let late = one.seal([1], for: two)
      for _ in 0..<ReplayWindow.size { _ = one.seal([2], for: two) }
      let newest = one.seal([3], for: two)
      #expect(newest.flatMap { two.open($0, from: one.peer) } == [3])
      #expect(late.flatMap { two.open($0, from: one.peer) } == nil)
    }
  }

  @Test func `a relay that passes one peer's frame off as another's is not believed`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two, three) = (LinkEnd(1, on: thread), LinkEnd(2, on: thread), LinkEnd(3, on: thread))
      for end in [one, two, three] { end.know([one, two, three].filter { $0 !== end }.map(\.peer)) }
      establish(one, two)
      establish(three, two)
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { two.open($0, from: three.peer) } == nil)
      // Nor an initiation.
      one.begin(with: two)
      for (payload, _) in one.outbox { two.take(payload, from: three.peer) }
      #expect(!two.outbox.contains { $0.payload.first == PeerHandshakeHeader.Step.response.rawValue })
      #expect(two.lines.contains { $0.contains("an initiation from device-3") })
      #expect(frame.flatMap { two.open($0, from: one.peer) } == [1])
    }
    thread.stop()
  }

  @Test func `a frame goes back to nobody who sent it`() throws {
    try withPair { one, two in
      establish(one, two)
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { one.open($0, from: two.peer) } == nil)
    }
  }
}
