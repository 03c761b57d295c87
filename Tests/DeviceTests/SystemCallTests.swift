import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@testable import Device

// Only debug builds count system calls.
#if SYSTEM_CALL_FAULTS
  /// The system calls that a device needs to carry packets.
  @Suite(.serialized) struct SystemCallTests {
    /// Two devices' data paths with a session between them.
    private func connectedPair() throws -> PumpPair {
      let pair = try PumpPair()
      try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
      for _ in 0..<2 { try pair.settle() }
      try #require(pair.received(1) != nil)
      return pair
    }

    /// The calls of both devices on sockets for `count` packets that wait together, until all have arrived. The
    /// interfaces are in memory, and cost no calls.
    private func calls(_ count: Int, payload: Int) throws -> (
      sending: SystemCallCounts.Tally, receiving: SystemCallCounts.Tally, frames: Int
    ) {
      let pair = try connectedPair()
      let packet =
        [UInt8](repeating: 0, count: OffloadHeader.size)
        + datagram(from: pair.addresses[0], to: pair.addresses[1], [UInt8](repeating: 7, count: payload))
      pair.interfaces[0].inject([[UInt8]](repeating: packet, count: count))
      let (sending, receiving) = (SystemCallCounts(), SystemCallCounts())
      let uplink = try #require(pair.neighbourhoods[0].relay.connection)
      let before = uplink.sendStatistics.traffic.frames
      try sending.run { try pair.pumps[0].pump() }
      try receiving.run { for _ in 0..<2 { try pair.settle() } }
      var arrived = 0
      while pair.received(1) != nil { arrived += 1 }
      #expect(arrived == count)
      return (sending.now, receiving.now, uplink.sendStatistics.traffic.frames - before)
    }

    @Test func `small packets that wait together share frames and leave in one call`() throws {
      let calls = try calls(200, payload: 100)
      // At 4 KiB each, as the path is not known to be fast yet.
      #expect(calls.frames <= 8)
      #expect(calls.sending[.send] == 1)
      // Both ends look at their sockets four times.
      #expect(calls.receiving[.read] <= 8)
    }

    @Test func `super-packets leave several at once`() throws {
      // Three fit the buffer that all are sent from.
      let calls = try calls(3, payload: 65_000)
      #expect(calls.sending[.send] <= 2)
    }

    @Test func `a lone packet leaves at once, in one call`() throws {
      let calls = try calls(1, payload: 100)
      #expect(calls.sending[.send] == 1)
    }

    @Test func `a packet of a whole device costs a few calls, however many there are`() throws {
      let counts = SystemCallCounts()
      let relay = try TestRelay()
      defer { relay.stop() }
      let one = try counts.run { try TestDevice("one", relay: relay.address) }
      defer { one.stop() }
      let two = try TestDevice("two", relay: relay.address)
      defer { two.stop() }
      let first = try #require(one.address())
      let second = try #require(two.address())
      #expect(one.knows(["two"]) && two.knows(["one"]))
      let hello = datagram(from: first, to: second, [1])
      one.send(hello)
      #expect(two.receive() == hello)
      let packet = [UInt8](repeating: 0, count: OffloadHeader.size) + datagram(from: first, to: second, [1, 2, 3])
      var best = Int.max
      for _ in 0..<10 {
        let before = counts.now
        one.interface.inject([[UInt8]](repeating: packet, count: 200))
        for _ in 0..<200 { #expect(two.receive() != nil) }
        best = min(best, (counts.now - before).total)
      }
      #expect(best < 20, "for 200 packets that waited together")
    }

    @Test func `a device that has nothing to carry makes no calls but its timers'`() throws {
      let counts = SystemCallCounts()
      let relay = try TestRelay()
      defer { relay.stop() }
      let one = try counts.run { try TestDevice("one", relay: relay.address) }
      defer { one.stop() }
      #expect(one.address() != nil && one.knows([]))
      // The work after joining is done by then.
      var before = counts.now
      #expect(
        wait { () -> Bool in
          _ = wait(atMost: .milliseconds(500)) { false }
          defer { before = counts.now }
          return counts.now[.send] == before[.send]
        })
      before = counts.now
      _ = wait(atMost: .seconds(3)) { false }
      let calls = counts.now - before
      // It checks its sessions and the relay once a second each.
      #expect(calls[.wait] <= 12 && calls.total == calls[.wait], "\(calls)")
    }
  }
#endif
