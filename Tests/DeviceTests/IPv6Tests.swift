import Device
import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// IPv6 between devices in one process: every lease stands for an address of the network's /96.
@Suite(.serialized) struct IPv6Tests {
  /// Two devices with a session.
  private struct Network {
    let relay: TestRelay
    let one: TestDevice
    let two: TestDevice
    let first: IPv6Address
    let second: IPv6Address
    let pool: IPv6Prefix

    init() throws {
      relay = try TestRelay()
      one = try TestDevice("one", relay: relay.address)
      two = try TestDevice("two", relay: relay.address)
      #expect(one.knows(["two"]) && two.knows(["one"]))
      pool = try #require(one.status()?.pool6)
      first = try #require(one.status()?.address6)
      second = try #require(two.status()?.address6)
      // Until they have a session, only the first few packets wait for it.
      let greeting = datagram(from: first, to: second, Array("hello".utf8))
      one.send(greeting)
      #expect(two.receive() == greeting)
    }

    func stop() {
      one.stop()
      two.stop()
      relay.stop()
    }

    func address(_ lease: String) throws -> IPv6Address { pool.address(of: try #require(IPv4Address(lease))) }
  }

  @Test func `the interface is given the pool, and the address goes with the lease`() throws {
    let network = try Network()
    defer { network.stop() }
    let configuration = try #require(network.one.interface.configuration)
    #expect(configuration.prefix6 == network.pool)
    #expect(network.pool.lease(of: network.first) == configuration.address)
  }

  @Test func `packets of both families and every size go both ways, byte by byte as they were`() throws {
    let network = try Network()
    defer { network.stop() }
    let leases = (try #require(network.one.address()), try #require(network.two.address()))
    for size in [0, 1, 2, 1352, 4096, 20_000, 65_527] {
      let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
      for packet in [datagram(from: network.first, to: network.second, payload)]
        + (size < 65_000 ? [datagram(from: leases.0, to: leases.1, payload)] : [])
      {
        network.one.send(packet)
        #expect(network.two.receive() == packet)
      }
      let back = datagram(from: network.second, to: network.first, payload)
      network.two.send(back)
      #expect(network.one.receive() == back)
    }
    #expect(network.one.status()?.counters.malformed == 0)
  }

  @Test func `small packets of one flow share frames`() throws {
    let network = try Network()
    defer { network.stop() }
    let before = try #require(network.one.status()).sent.frames
    let packet =
      [UInt8](repeating: 0, count: OffloadHeader.size) + datagram(from: network.first, to: network.second, [1, 2, 3])
    network.one.interface.inject([[UInt8]](repeating: packet, count: 100))
    for _ in 0..<100 { #expect(network.two.receive() != nil) }
    let sent = try #require(network.one.status()).sent.frames - before
    #expect(sent >= 1 && sent < 20)
  }

  @Test(arguments: ["10.0.0.77", "10.0.0.255", "10.7.0.1"])
  func `the sender of a packet for an absent address is told by ICMPv6`(absent: String) throws {
    let network = try Network()
    defer { network.stop() }
    // The second one is answered without the relay.
    for _ in 0..<2 {
      let packet = datagram(from: network.first, to: try network.address(absent), [UInt8](repeating: 7, count: 3000))
      network.one.send(packet)
      let reply = try #require(network.one.receive())
      #expect(reply.count == 1280 && reply[6] == 58 && reply[40] == 1 && reply[41] == 3)
      guard case .ipv6(let peek)? = reply.withUnsafeBytes({ IPPeek($0.bytes) }) else {
        Issue.record("no IPv6 packet")
        return
      }
      #expect(peek.source == (try network.address("10.0.0.1")) && peek.destination == network.first)
      #expect(Array(reply[48...]) == Array(packet[..<1232]))
      // The pseudo-header, as RFC 8200 draws it, and the message.
      let length = UInt32(reply.count - 40)
      let pseudo = Array(reply[8..<40]) + withUnsafeBytes(of: length.bigEndian) { Array($0) } + [0, 0, 0, 58]
      var checksum = InternetChecksum()
      (pseudo + reply[40...]).withUnsafeBytes { checksum.add($0.bytes) }
      #expect(checksum.value == 0)
    }
  }

  @Test func `nobody is told about what may be an ICMPv6 error, or is not from this network`() throws {
    let network = try Network()
    defer { network.stop() }
    let absent = try network.address("10.0.0.77")
    var silent: [[UInt8]] = []
    for (next, type) in [(58, 1), (58, 133), (0, 0), (43, 0), (44, 0), (60, 0)] as [(UInt8, UInt8)] {
      var packet = datagram(from: network.first, to: absent, [7])
      packet[6] = next
      packet[40] = type
      silent.append(packet)
    }
    silent.append(datagram(from: IPv6Address(high: 0, low: 0), to: absent, [7]))
    for packet in silent { network.one.send(packet) }
    var echo = datagram(from: network.first, to: absent, [7])
    echo[6] = 58
    echo[40] = 128
    network.one.send(echo)
    // All were sent before the relay's answer, and only the echo gets a reply.
    let reply = try #require(network.one.receive())
    #expect(Array(reply[48...]) == echo)
    #expect(network.one.interface.takeWritten(within: .milliseconds(50)) == nil)
    #expect(network.one.status()?.counters.unroutable == silent.count + 1)
  }

  @Test(arguments: ["fe80::1", "ff02::1", "ff02::fb", "2001:db8::1", "fd00::1", "::1", "::"])
  func `what is for no address of the network goes nowhere and is counted`(destination: String) throws {
    let network = try Network()
    defer { network.stop() }
    let before = try #require(network.one.status())
    network.one.send(datagram(from: network.first, to: try #require(IPv6Address(destination)), [1]))
    let last = datagram(from: network.first, to: network.second, [2])
    network.one.send(last)
    #expect(network.two.receive() == last)
    let after = try #require(network.one.status())
    #expect(after.counters.unroutable - before.counters.unroutable == 1)
    #expect(network.one.interface.takeWritten(within: .milliseconds(20)) == nil)
  }

  @Test func `a packet with a source or destination that is not the two devices' own is dropped by its receiver`()
    throws
  {
    let network = try Network()
    defer { network.stop() }
    let other = try network.address("10.0.0.99")
    let strange = try #require(IPv6Address("2001:db8::1"))
    for source in [other, strange, network.second, IPv6Address(high: 0, low: network.first.low)] {
      network.one.send(datagram(from: source, to: network.second, [1]))
    }
    let honest = datagram(from: network.first, to: network.second, [2])
    network.one.send(honest)
    #expect(network.two.receive() == honest)
    #expect(network.two.status()?.counters.misaddressed == 4)
  }

  @Test func `a device whose host has no IPv6 takes none`() throws {
    let network = try Network()
    defer { network.stop() }
    let three = try TestDevice("three", relay: network.relay.address) { $0.disableIPv6(.refused("off")) }
    defer { three.stop() }
    let lease = try #require(three.address())
    #expect(network.one.knows(["two", "three"]))
    network.one.send(datagram(from: network.first, to: network.pool.address(of: lease), [1]))
    let plain = datagram(from: try #require(network.one.address()), to: lease, [2])
    network.one.send(plain)
    #expect(three.receive() == plain)
    #expect(three.status()?.counters.misaddressed == 1)
    #expect(three.status()?.pool6 == network.pool && three.status()?.address6 == nil)
  }
}
