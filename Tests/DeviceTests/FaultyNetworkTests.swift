import Device
import Relay
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Tun
import Wire

// Only debug builds have faults.
#if SYSTEM_CALL_FAULTS
  /// A relay and devices in one process whose system calls do less than they were asked.
  @Suite(.serialized) struct FaultyNetworkTests {
    private func payload(_ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) } }

    /// Sends a packet until it arrives: one of many may have waited too long in a queue and been dropped.
    private func deliver(_ packet: [UInt8], from one: TestDevice, to two: TestDevice) -> Bool {
      for _ in 0..<20 {
        one.send(packet)
        while let arrived = two.interface.takeWritten(within: .seconds(5)) {
          if Array(arrived[OffloadHeader.size...]) == packet { return true }
        }
      }
      return false
    }

    @Test(arguments: [UInt64](1...6))
    func `a network works, and packets arrive byte by byte as they were`(_ seed: UInt64) throws {
      let faults = SystemCallFaults(seed: seed)
      try faults.run {
        let relay = try TestRelay()
        let one = try TestDevice("one", relay: relay.address)
        let two = try TestDevice("two", relay: relay.address)
        let first = try #require(one.address())
        let second = try #require(two.address())
        #expect(one.knows(["two"]) && two.knows(["one"]))
        for size in [1, 2, 100, 1400, 1472, 8000, 20_000, 65_507] {
          #expect(deliver(datagram(from: first, to: second, payload(size)), from: one, to: two), "\(size) bytes")
          #expect(deliver(datagram(from: second, to: first, payload(size)), from: two, to: one), "\(size) bytes back")
        }
        // A changed packet would have been counted.
        for device in [one, two] {
          let counters = try #require(device.status()).counters
          #expect(counters.malformed == 0 && counters.misaddressed == 0)
        }
        let counters = try #require(relay.status()).counters
        #expect(counters.malformed == 0 && counters.notAuthentic == 0)
        two.stop()
        #expect(one.knows([]))
        one.stop()
        relay.stop()
      }
      let counts = faults.counts
      #expect(counts.shortened > 10 && counts.wouldBlock > 10 && counts.interrupted > 10)
    }

    @Test(arguments: [UInt64](1...3))
    func `bursts of packets arrive in order, and none twice or torn`(_ seed: UInt64) throws {
      let faults = SystemCallFaults(seed: seed)
      try faults.run {
        let relay = try TestRelay()
        let one = try TestDevice("one", relay: relay.address)
        let two = try TestDevice("two", relay: relay.address)
        let first = try #require(one.address())
        let second = try #require(two.address())
        #expect(one.knows(["two"]) && two.knows(["one"]))
        #expect(deliver(datagram(from: first, to: second, [0]), from: one, to: two))
        // A packet's number is the size of its payload, which identifies it.
        let sizes = Array(1...600)
        for size in sizes { one.send(datagram(from: first, to: second, payload(size))) }
        var last = 0
        while last < sizes.count, let arrived = two.interface.takeWritten(within: .seconds(5)) {
          let packet = Array(arrived[OffloadHeader.size...])
          let size = packet.count - 28
          #expect(size > last && packet == datagram(from: first, to: second, payload(size)))
          last = size
        }
        #expect(last > 0)
        for device in [one, two] { device.stop() }
        relay.stop()
      }
    }

    @Test(arguments: [UInt64](1...3))
    func `devices come back to a relay that was restarted`(_ seed: UInt64) throws {
      try SystemCallFaults(seed: seed).run {
        let relay = try TestRelay()
        let one = try TestDevice("one", relay: relay.address)
        let two = try TestDevice("two", relay: relay.address)
        let first = try #require(one.address())
        let second = try #require(two.address())
        relay.stop()
        #expect(wait { one.status()?.isJoined == false && two.status()?.isJoined == false })
        let successor = try TestRelay(port: relay.address.port)
        #expect(one.address(afterJoins: 2) != nil && two.address(afterJoins: 2) != nil)
        #expect(one.knows(["two"]) && two.knows(["one"]))
        #expect(deliver(datagram(from: first, to: second, [4]), from: one, to: two))
        for device in [one, two] { device.stop() }
        successor.stop()
      }
    }

    @Test func `a hundred devices join`() throws {
      try SystemCallFaults(seed: 5).run {
        let relay = try TestRelay(pool: "10.0.0.0/16")
        let clients = try (0..<100).map { try relay.join("device-\($0)") }
        #expect(Set(clients.map(\.address)).count == 100)
        #expect(wait { relay.status()?.sessions.count == 100 })
        relay.stop()
      }
    }
  }
#endif
