import Device
import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// A relay and devices in one process, with packets in memory instead of interfaces.
@Suite(.serialized) struct NetworkTests {
  private func pair(_ relay: TestRelay) throws -> (TestDevice, IPv4Address, TestDevice, IPv4Address) {
    let one = try TestDevice("one", relay: relay.address)
    let two = try TestDevice("two", relay: relay.address)
    let first = try #require(one.address())
    let second = try #require(two.address())
    #expect(one.knows(["two"]) && two.knows(["one"]))
    // Until they have a session, only the first few packets wait for it.
    let greeting = datagram(from: first, to: second, Array("hello".utf8))
    one.send(greeting)
    #expect(two.receive() == greeting)
    return (one, first, two, second)
  }

  @Test func `a device joins, configures its interface and knows its peers`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, _) = try pair(relay)
    #expect(one.interface.configuration?.address == first)
    #expect(one.interface.configuration?.prefix == IPv4Prefix("10.0.0.0/24"))
    two.stop()
    #expect(one.knows([]))
    one.stop()
  }

  @Test func `packets of every size go both ways at once, byte by byte as they were`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, second) = try pair(relay)
    let sizes = Array(1...1472) + [8000, 20_000, 65_507, 65_507, 1]
    let feeders = [(one, first, second), (two, second, first)].map { device, source, destination in
      SystemThread.start(name: "feeder") {
        for size in sizes {
          let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
          device.send(datagram(from: source, to: destination, payload))
        }
      }
    }
    for (device, source, destination) in [(two, first, second), (one, second, first)] {
      for size in sizes {
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
        let packet = try #require(device.receive())
        guard packet == datagram(from: source, to: destination, payload) else {
          Issue.record("the packet with \(size) bytes of payload arrived otherwise")
          return
        }
      }
    }
    for feeder in feeders { feeder.join() }
    #expect(one.status()?.counters.malformed == 0)
    one.stop()
    two.stop()
  }

  @Test func `small packets of one flow share frames`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, second) = try pair(relay)
    let before = try #require(one.status()).sent.frames
    // All of them wait before the device can read the first.
    let packet = [UInt8](repeating: 0, count: OffloadHeader.size) + datagram(from: first, to: second, [1, 2, 3])
    one.interface.inject([[UInt8]](repeating: packet, count: 100))
    for _ in 0..<100 { #expect(two.receive() != nil) }
    let sent = try #require(one.status()).sent.frames - before
    #expect(sent >= 1 && sent < 20)
    one.stop()
    two.stop()
  }

  @Test func `the sender of a packet for an absent address is told by ICMP`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, _) = try pair(relay)
    let absent = try #require(IPv4Address("10.0.0.77"))
    // The second one is answered without the relay.
    for _ in 0..<2 {
      let packet = datagram(from: first, to: absent, [7])
      one.send(packet)
      let reply = try #require(one.receive())
      #expect(reply[9] == 1 && reply[20] == 3 && reply[21] == 1)
      #expect(Array(reply[12..<16]) == [10, 0, 0, 1])
      #expect(Array(reply[16..<20]) == Array(packet[12..<16]))
      #expect(Array(reply[28...]) == packet)
      var checksum = InternetChecksum()
      reply[20...].withUnsafeBytes { checksum.add($0.bytes) }
      #expect(checksum.value == 0)
    }
    one.stop()
    two.stop()
  }

  @Test func `nobody is told about an ICMP error that cannot be delivered`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, second) = try pair(relay)
    var packet = datagram(from: first, to: try #require(IPv4Address("10.0.0.77")), [7])
    packet[9] = 1
    packet[20] = 3
    one.send(packet)
    one.send(datagram(from: first, to: second, [8]))
    #expect(two.receive() != nil)
    #expect(one.interface.takeWritten(within: .milliseconds(50)) == nil)
    one.stop()
    two.stop()
  }

  @Test(arguments: ["10.0.0.255", "255.255.255.255", "224.0.0.251"])
  func `a broadcast reaches every peer`(destination: String) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, _) = try pair(relay)
    let three = try TestDevice("three", relay: relay.address)
    #expect(one.knows(["two", "three"]))
    #expect(three.address() != nil)
    let packet = datagram(from: first, to: try #require(IPv4Address(destination)), [1])
    one.send(packet)
    #expect(two.receive() == packet)
    #expect(three.receive() == packet)
    for device in [one, two, three] { device.stop() }
  }

  @Test func `a packet that claims another's address is dropped by its receiver`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, second) = try pair(relay)
    one.send(datagram(from: try #require(IPv4Address("10.0.0.99")), to: second, [1]))
    let honest = datagram(from: first, to: second, [2])
    one.send(honest)
    #expect(two.receive() == honest)
    #expect(two.status()?.counters.misaddressed == 1)
    one.stop()
    two.stop()
  }

  @Test func `what is no IP packet is counted and goes nowhere`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first, two, second) = try pair(relay)
    one.interface.inject([] as [UInt8])
    one.interface.inject([0, 0, 0])
    one.send([])
    one.send([0x45, 0])
    one.send([UInt8](repeating: 0xFF, count: 100))
    let good = datagram(from: first, to: second, [3])
    one.send(good)
    #expect(two.receive() == good)
    #expect(one.status()?.counters.malformed == 5)
    one.stop()
    two.stop()
  }

  @Test func `a device keeps its address through a restart of the relay, and packets flow again`() throws {
    let relay = try TestRelay()
    let (one, first, two, second) = try pair(relay)
    relay.stop()
    #expect(wait { one.status()?.isJoined == false && two.status()?.isJoined == false })
    let successor = try TestRelay(port: relay.address.port)
    defer { successor.stop() }
    #expect(one.address(afterJoins: 2) == first)
    #expect(two.address(afterJoins: 2) == second)
    #expect(one.knows(["two"]) && two.knows(["one"]))
    let packet = datagram(from: first, to: second, [4])
    one.send(packet)
    #expect(two.receive() == packet)
    one.stop()
    two.stop()
  }

  @Test func `what a program sends while the relay is away arrives once all are back`() throws {
    let relay = try TestRelay()
    let (one, first, two, second) = try pair(relay)
    relay.stop()
    #expect(wait { one.status()?.isJoined == false && two.status()?.isJoined == false })
    let packets = (0..<5).map { datagram(from: first, to: second, [$0]) }
    for packet in packets { one.send(packet) }
    let successor = try TestRelay(inPlaceOf: relay)
    defer { successor.stop() }
    for packet in packets { #expect(two.receive() == packet) }
    one.stop()
    two.stop()
  }

  @Test func `a device waits as long as a relay that ends asks it to`() throws {
    let relay = try TestRelay()
    let device = try TestDevice("one", relay: relay.address)
    #expect(device.address() != nil)
    relay.stop()
    var losses: [(UplinkLoss, retry: Duration)] {
      device.events.items.compactMap { event in
        if case .lost(let loss, let retry) = event { (loss, retry) } else { nil }
      }
    }
    #expect(wait { !losses.isEmpty })
    let (loss, retry) = try #require(losses.first)
    guard case .refused(let refusal) = loss else {
      Issue.record("\(loss)")
      return device.stop()
    }
    #expect(refusal.code == .shuttingDown && refusal.retryAfter == 200)
    // Its own first wait would be at most 100 ms.
    #expect(retry >= .milliseconds(100) && retry <= .milliseconds(200))
    device.stop()
  }

  @Test func `a device that cannot reach its relay says so each time`() throws {
    let relay = try TestRelay()
    relay.stop()
    let device = try TestDevice("one", relay: relay.address)
    let events = device.events.waitFor(3)
    #expect(events.count >= 3)
    for event in events {
      guard case .lost(.unreachable(let failures), let retry) = event else {
        Issue.record("\(event)")
        continue
      }
      #expect(failures.count == 1 && retry > .zero)
    }
    device.stop()
  }

  @Test func `a stopped device leaves at once`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _, two, _) = try pair(relay)
    two.stop()
    #expect(one.knows([]))
    one.stop()
  }
}
