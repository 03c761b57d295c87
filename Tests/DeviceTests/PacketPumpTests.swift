import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@testable import Device

/// Two devices' data paths, joined without a relay, one step after the other.
@Suite struct PacketPumpTests {
  @Test func `what a peer sends that has connected anew arrives before the relay has told of it`() throws {
    let pair = try PumpPair()
    let packets = (0..<3).map { datagram(from: pair.addresses[0], to: pair.addresses[1], [UInt8($0)]) }
    try pair.send(packets[0], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[0])
    // For the receiver the sender has left; for the sender nothing has changed.
    pair.tell(1, isThere: false)
    try pair.send(packets[1], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[1])
    // Only after a dismissal its frames are dropped.
    _ = pair.pumps[1].update(
      PeerUpdate(revision: 2, since: 1, joined: [], left: [pair.addresses[0]], dismissed: [pair.addresses[0]]))
    try pair.send(packets[2], from: 0)
    try pair.settle()
    #expect(pair.received(1) == nil)
  }

  @Test func `packets for a peer that is not back yet wait until the relay tells of it`() throws {
    let pair = try PumpPair()
    let packets = (0..<2).map { datagram(from: pair.addresses[0], to: pair.addresses[1], [UInt8($0)]) }
    try pair.send(packets[0], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[0])
    pair.rejoin(0)
    #expect(!pair.neighbourhoods[0].isComplete)
    pair.tell(0, isThere: false)
    #expect(pair.neighbourhoods[0].isComplete)
    try pair.send(packets[1], from: 0)
    pair.pumps[0].markAbsent(pair.addresses[1])
    try pair.settle()
    #expect(pair.received(1) == nil)
    pair.tell(0, isThere: true)
    try pair.settle()
    #expect(pair.received(1) == packets[1])
  }

  @Test func `the sender is told of packets for a peer that has not come back, and of those for nobody`() throws {
    let pair = try PumpPair()
    pair.rejoin(0)
    pair.tell(0, isThere: false)
    let nobody = IPv4Address(bits: 0x0A00_0009)
    for destination in [pair.addresses[1], nobody] {
      try pair.send(datagram(from: pair.addresses[0], to: destination, [1]), from: 0)
      pair.pumps[0].markAbsent(destination)
    }
    func isUnreachable(_ packet: [UInt8]?) -> Bool { packet.map { $0[9] == 1 && $0[20] == 3 } ?? false }
    #expect(isUnreachable(pair.received(0)))
    #expect(pair.received(0) == nil)
    for state in pair.neighbourhoods[0].endReturn() { pair.pumps[0].giveUp(state.address) }
    #expect(isUnreachable(pair.received(0)))
    #expect(pair.pumps[0].counters.unroutable == 2)
  }

  @Test func `an address that another device has now gets nothing that is sealed for the former one`() throws {
    let pair = try PumpPair()
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
    try pair.settle()
    #expect(pair.received(1) != nil)
    let former = try #require(pair.state(0))
    let session = try #require(former.link?.current)
    let sent = session.sent
    _ = pair.pumps[0].update(
      PeerUpdate(revision: 2, since: nil, joined: [testPeer(pair.addresses[1], "successor")]))
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [2]), from: 0)
    try pair.settle()
    #expect(pair.received(1) == nil)
    #expect(session.sent == sent && former.link == nil)
    #expect(pair.state(0)?.link?.pending.isEmpty == false)
  }

  @Test func `a super-packet for a slow peer goes in parts, and all of it arrives`() throws {
    let pair = try PumpPair()
    // From then on there is a session.
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
    try pair.settle()
    #expect(pair.received(1) != nil)
    let payload = (0..<30_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let segment = 1000
    var packet = datagram(from: pair.addresses[0], to: pair.addresses[1], payload)
    var checksum = InternetChecksum()
    packet.withUnsafeBytes { checksum.add($0.bytes.extracting(0..<20)) }
    packet.replaceSubrange(10..<12, with: withUnsafeBytes(of: checksum.value.bigEndian) { Array($0) })
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.segmentation = .udpL4
    header.headerLength = 28
    header.segmentSize = UInt16(segment)
    header.checksumStart = 20
    header.checksumOffset = 6
    try pair.send(packet, behind: header, from: 0)
    try pair.settle()
    var arrived: [UInt8] = []
    var parts = 0
    while let part = pair.received(1) {
      #expect(part.count <= 4096)
      arrived += part[28...]
      parts += 1
    }
    #expect(arrived == payload)
    // Of four segments each.
    #expect(parts == 8)
  }

  @Test func `while too much stands on the path to a peer, a large packet of TCP is dropped, and counted`() throws {
    let pair = try PumpPair()
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
    try pair.settle()
    #expect(pair.received(1) != nil)
    let path = try #require(pair.state(0)).path
    // At this rate the peer gets whole packets.
    let now = Instant.now()
    path.frameLimit.note(0, at: Instant(nanoseconds: now.nanoseconds - 40_000_000))
    path.frameLimit.note(50_000_000, at: Instant(nanoseconds: now.nanoseconds - 10_000_000))
    path.standing = StandingQueueTests.full(at: now)
    let packet = segment(from: pair.addresses[0], to: pair.addresses[1], payload: 20_000)
    try pair.send(packet, from: 0)
    try pair.settle()
    let hasArrived = pair.received(1) != nil
    #expect(!hasArrived)
    #expect(pair.pumps[0].counters.early == 1)
    // Only once; and the acknowledgment is seen.
    try pair.send(packet, from: 0)
    #expect(path.standing.isWaiting)
    try pair.settle()
    let isWhole = pair.received(1) == packet
    #expect(isWhole)
    try pair.send(
      segment(from: pair.addresses[1], to: pair.addresses[0], acknowledgment: 20_000, ports: (443, 5001)), from: 1)
    try pair.settle()
    #expect(!path.standing.isWaiting)
    #expect(pair.pumps[0].counters.early == 1)
  }

  @Test func `of acknowledgments that are read together the last goes, and what says something else`() throws {
    let pair = try PumpPair()
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
    try pair.settle()
    #expect(pair.received(1) != nil)
    let before = pair.pumps[0].counters.sent
    func ack(_ number: UInt32, options: [UInt8] = timestamps()) -> [UInt8] {
      segment(from: pair.addresses[0], to: pair.addresses[1], acknowledgment: number, options: options)
    }
    // The second 40 reports a loss, and so does the one with the option SACK.
    let sack = timestamps() + [1, 1, 5, 10, 0, 0, 0, 50, 0, 0, 0, 60]
    let packets = [ack(10), ack(20), ack(40), ack(40), ack(40, options: sack), ack(70), ack(90)]
    for packet in packets { pair.interfaces[0].inject([UInt8](repeating: 0, count: OffloadHeader.size) + packet) }
    try pair.pumps[0].pump()
    try pair.settle()
    var arrived: [[UInt8]] = []
    while let packet = pair.received(1) { arrived.append(packet) }
    #expect(arrived == [packets[2], packets[3], packets[4], packets[6]])
    #expect(pair.pumps[0].counters.sent - before == 4)
  }

  @Test func `datagrams that come together are written as one to an interface that takes it`() throws {
    let pair = try PumpPair(takesJoinedDatagrams: true)
    try pair.send(datagram(from: pair.addresses[0], to: pair.addresses[1], [1]), from: 0)
    try pair.settle()
    #expect(pair.received(1) != nil)
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.headerLength = 28
    header.checksumStart = 20
    header.checksumOffset = 6
    let records = (0..<20).map { number in
      var packet = datagram(
        from: pair.addresses[0], to: pair.addresses[1], [UInt8](repeating: UInt8(number), count: 50))
      var checksum = InternetChecksum()
      packet.withUnsafeBytes { checksum.add($0.bytes.extracting(0..<20)) }
      packet.replaceSubrange(10..<12, with: withUnsafeBytes(of: checksum.value.bigEndian) { Array($0) })
      var record = [UInt8](repeating: 0, count: OffloadHeader.size)
      record.withUnsafeMutableBytes { header.write(to: $0) }
      return record + packet
    }
    let before = pair.pumps[1].counters.received
    pair.interfaces[0].inject(records)
    try pair.pumps[0].pump()
    try pair.settle()
    let joined = try #require(pair.received(1))
    #expect(Array(joined[28...]) == (0..<20).flatMap { [UInt8](repeating: UInt8($0), count: 50) })
    #expect(pair.received(1) == nil)
    #expect(pair.pumps[1].counters.received - before == 20)
  }
}
