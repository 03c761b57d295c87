import Device
import Link
import Relay
import Synchronization
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// Devices whose relay drains.
@Suite(.serialized) struct DrainTests {
  private func drain(_ relay: TestRelay) -> Mailbox<DrainOutcome> {
    let outcomes = Mailbox<DrainOutcome>()
    relay.relay.drain(within: generousWait) { outcomes.put($0) }
    return outcomes
  }

  /// Two devices that have a session with each other.
  private func pair(
    _ relay: TestRelay, via address: SocketAddress? = nil
  ) throws -> (TestDevice, IPv4Address, TestDevice, IPv4Address) {
    let one = try TestDevice("one", relay: address ?? relay.address)
    let two = try TestDevice("two", relay: relay.address)
    let first = try #require(one.address())
    let second = try #require(two.address())
    #expect(one.knows(["two"]) && two.knows(["one"]))
    let greeting = datagram(from: first, to: second, Array("hello".utf8))
    one.send(greeting)
    #expect(two.receive() == greeting)
    return (one, first, two, second)
  }

  private func number(of packet: [UInt8]) -> Int { packet[28...31].reduce(0) { $0 << 8 | Int($1) } }

  private func numbered(_ number: Int, from source: IPv4Address, to destination: IPv4Address) -> [UInt8] {
    datagram(from: source, to: destination, [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) })
  }

  @Test func `nothing that a device has taken from its host is lost by a drain, and the rest goes later`() throws {
    let relay = try TestRelay()
    let (one, first, two, second) = try pair(relay)
    let received = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    // At the rate of the receiver, so that no queue drops a packet.
    let feeder = SystemThread.start(name: "feeder") {
      var sent = 0
      while !isOver.load(ordering: .relaxed) {
        if sent - received.load(ordering: .relaxed) < 32 {
          one.send(numbered(sent, from: first, to: second))
          sent += 1
        } else {
          sleep(for: .microseconds(50))
        }
      }
    }
    func receive(_ count: Int) {
      for _ in 0..<count {
        guard let packet = two.receive() else {
          Issue.record("packet \(received.load(ordering: .relaxed)) is missing")
          return
        }
        #expect(number(of: packet) == received.load(ordering: .relaxed))
        received.add(1, ordering: .relaxed)
      }
    }
    receive(2000)
    let outcomes = drain(relay)
    while outcomes.items.isEmpty {
      if let packet = two.interface.takeWritten(within: .milliseconds(1)) {
        #expect(number(of: Array(packet[OffloadHeader.size...])) == received.load(ordering: .relaxed))
        received.add(1, ordering: .relaxed)
      }
    }
    #expect(outcomes.items[0].sessions == 2 && outcomes.items[0].cutOff == 0)
    relay.stop()
    #expect(wait { one.status()?.isJoined == false && two.status()?.isJoined == false })
    isOver.store(true, ordering: .relaxed)
    feeder.join()
    // The greeting does not count.
    receive(try #require(one.status()).counters.sent - 1 - received.load(ordering: .relaxed))
    #expect(two.interface.takeWritten(within: .milliseconds(20)) == nil)
    #expect(try #require(two.status()).counters.received == #require(one.status()).counters.sent)
    one.stop()
    two.stop()
  }

  @Test func `a device answers only when what waits for a slow line has been sent`() throws {
    let relay = try TestRelay()
    let proxy = try StallingProxy(to: relay.address)
    let (one, first, two, second) = try pair(relay, via: proxy.address)
    proxy.stall()
    // Different flows, so that no packet is dropped because it waited behind others.
    var lanes: Set<UInt16> = []
    var ports: [UInt16] = []
    for port in UInt16(1000)... {
      if ports.count == 100 { break }
      let packet = datagram(from: first, to: second, [], port: port)
      let flow = packet.withUnsafeBytes { bytes -> UInt16 in
        if case .ipv4(let peek)? = IPPeek(bytes.bytes) { peek.flow } else { 0 }
      }
      if lanes.insert(flow % 256).inserted { ports.append(port) }
    }
    for port in ports { one.send(datagram(from: first, to: second, [UInt8](repeating: 7, count: 35_000), port: port)) }
    #expect(wait { one.status()?.counters.sent == ports.count + 1 })
    #expect(try #require(one.status()).queue.bytes > 1 << 20)
    let outcomes = drain(relay)
    #expect(wait { one.events.items.contains { if case .draining = $0 { true } else { false } } })
    // From now on packets wait in the interface.
    one.send(datagram(from: first, to: second, [9]))
    sleep(for: .milliseconds(100))
    #expect(outcomes.items.isEmpty)
    #expect(one.status()?.isJoined == true && one.status()?.progress.contains("waiting for the relay to end") == true)
    proxy.resume()
    #expect(outcomes.waitFor(1).first?.cutOff == 0)
    relay.stop()
    #expect(wait { two.status()?.counters.received == ports.count + 1 })
    #expect(one.status()?.counters.sent == ports.count + 1)
    one.stop()
    two.stop()
    proxy.stop()
  }

  @Test func `after a drain a device joins the relay that takes the place, and sends again`() throws {
    let relay = try TestRelay()
    let (one, first, two, second) = try pair(relay)
    #expect(drain(relay).waitFor(1).first?.sessions == 2)
    relay.stop()
    let successor = try TestRelay(port: relay.address.port)
    defer { successor.stop() }
    #expect(one.address(afterJoins: 2) == first && two.address(afterJoins: 2) == second)
    #expect(one.knows(["two"]) && two.knows(["one"]))
    let packet = datagram(from: first, to: second, [4])
    one.send(packet)
    #expect(two.receive() == packet)
    one.stop()
    two.stop()
  }
}
