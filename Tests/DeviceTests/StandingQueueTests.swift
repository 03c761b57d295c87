import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

@Suite struct StandingQueueTests {
  private static let here = IPv4Address(bits: 0x0A00_0002)
  private static let there = IPv4Address(bits: 0x0A00_0003)
  private static let megabyte = 1 << 20

  /// A TCP connection of bulk that always has as much under way as its window allows.
  private struct Flow {
    var queue = StandingQueue()
    var now = Instant(nanoseconds: 1_000_000_000)
    /// Near the end of the sequence numbers.
    var next: UInt32 = 0xFFFF_0000
    var drops: [Instant] = []
    var packetSize = 60_000
    /// TCP's own protocol number, or another one in its place.
    var transport: UInt8 = 6
    /// The port that acknowledgments are for.
    var acknowledgedPort: UInt16 = 5001

    private static let header = 40

    /// For so long, packets go, and each is acknowledged when `window` bytes have gone behind it, which takes
    /// `roundTrip`.
    mutating func run(_ window: Int, roundTrip: Duration, for time: Duration) {
      let step = Duration.nanoseconds(roundTrip.nanoseconds * Int64(packetSize) / Int64(window))
      let end = now.advanced(by: time)
      // Made once, since they are many.
      var data = segment(from: here, to: there, payload: packetSize - Self.header)
      data[9] = transport
      var acknowledgment = segment(from: there, to: here, ports: (443, acknowledgedPort))
      while now < end {
        now = now.advanced(by: step)
        Self.write(next, at: 24, of: &data)
        send(data)
        Self.write(next &- UInt32(window), at: 28, of: &acknowledgment)
        acknowledge(acknowledgment)
      }
    }

    private static func write(_ number: UInt32, at offset: Int, of packet: inout [UInt8]) {
      packet.withUnsafeMutableBytes { $0.storeBytes(of: number.bigEndian, toByteOffset: offset, as: UInt32.self) }
    }

    private mutating func send(_ packet: [UInt8]) {
      next &+= UInt32(packetSize - Self.header)
      if !packet.withUnsafeBytes({ queue.admits($0.bytes, at: now) }) { drops.append(now) }
    }

    private mutating func acknowledge(_ packet: [UInt8]) {
      packet.withUnsafeBytes { bytes in
        guard let peek = IPPeek(bytes.bytes) else { return }
        queue.receive(bytes.bytes, peek, at: now)
      }
    }
  }

  /// A flow on a path whose shortest round trip is known.
  private static func flow(base: Duration, _ change: (inout Flow) -> Void = { _ in }) -> Flow {
    var flow = Flow()
    change(&flow)
    flow.run(200_000, roundTrip: base, for: base * 20)
    return flow
  }

  /// A queue that drops the next large packet, if that comes soon after `now`.
  static func full(at now: Instant) -> StandingQueue {
    var flow = Flow()
    flow.now = Instant(nanoseconds: now.nanoseconds - 100_000_000)
    flow.run(200_000, roundTrip: .microseconds(400), for: .milliseconds(8))
    // Too much for a part of the interval, and by then for all of it.
    flow.run(megabyte * 4, roundTrip: .microseconds(3600), for: .milliseconds(40))
    return flow.queue
  }

  @Test func `a path that holds less than a megabyte in its queues keeps all packets`() {
    var flow = Self.flow(base: .microseconds(400))
    // 0.4 of 1.3 ms are the path itself.
    flow.run(Self.megabyte * 13 / 10, roundTrip: .microseconds(1300), for: .seconds(9))
    #expect(flow.drops.isEmpty)
  }

  @Test func `when more stands for a while, one packet at a time is dropped`() {
    var flow = Self.flow(base: .microseconds(400))
    let start = flow.now
    flow.run(Self.megabyte * 4, roundTrip: .microseconds(3600), for: .seconds(1))
    let times = [start] + flow.drops
    #expect(flow.drops.count >= 5)
    for (former, next) in zip(times, times.dropFirst()) { #expect(next.since(former) >= StandingQueue.interval) }
    // Then its sender sends less.
    let count = flow.drops.count
    flow.run(Self.megabyte, roundTrip: .microseconds(900), for: .seconds(1))
    #expect(flow.drops.count == count)
  }

  @Test func `a burst that is over soon costs nothing`() {
    var flow = Self.flow(base: .microseconds(400))
    for _ in 0..<50 {
      flow.run(Self.megabyte * 4, roundTrip: .microseconds(3600), for: .milliseconds(40))
      flow.run(Self.megabyte / 2, roundTrip: .microseconds(450), for: .milliseconds(40))
    }
    #expect(flow.drops.isEmpty)
  }

  @Test func `on a long path as much may stand as varies there`() {
    var flow = Self.flow(base: .milliseconds(50))
    // 7 of 57 ms are more than a megabyte, but less than a quarter.
    flow.run(Self.megabyte * 16, roundTrip: .milliseconds(57), for: .seconds(2))
    #expect(flow.drops.isEmpty)
    flow.run(Self.megabyte * 16, roundTrip: .milliseconds(80), for: .seconds(2))
    #expect(!flow.drops.isEmpty)
  }

  @Test func `a path that has become longer counts as it is, after a time`() {
    var flow = Self.flow(base: .microseconds(400))
    flow.run(Self.megabyte * 4, roundTrip: .milliseconds(4), for: StandingQueue.memory * 2 + .milliseconds(100))
    #expect(!flow.drops.isEmpty)
    let count = flow.drops.count
    flow.run(Self.megabyte * 4, roundTrip: .milliseconds(4), for: .seconds(5))
    #expect(flow.drops.count == count)
  }

  @Test func `what was too much before a pause is forgotten`() {
    var flow = Self.flow(base: .microseconds(400))
    flow.run(Self.megabyte * 4, roundTrip: .microseconds(3600), for: .milliseconds(45))
    #expect(flow.drops.isEmpty)
    flow.now = flow.now.advanced(by: .seconds(5))
    flow.run(Self.megabyte / 2, roundTrip: .microseconds(500), for: .milliseconds(100))
    #expect(flow.drops.isEmpty)
  }

  @Test func `small packets, other protocols and other connections' acknowledgments are left alone`() {
    for change: (inout Flow) -> Void in [
      { $0.packetSize = StandingQueue.leastSize - 100 }, { $0.transport = 17 }, { $0.acknowledgedPort = 5002 },
    ] {
      var flow = Self.flow(base: .microseconds(400), change)
      flow.run(Self.megabyte * 4, roundTrip: .microseconds(3600), for: .milliseconds(500))
      #expect(flow.drops.isEmpty)
    }
  }
}
