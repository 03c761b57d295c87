import Testing
import Tun
import Wire

@Suite struct SuperPacketDividerTests {
  private let splitter = TestSplitter()
  private let divider = TestDivider()

  private static func packets() -> [TestPacket] {
    var options4 = TestPacket()
    options4.options = bytes("01010100")
    options4.transportOptions = bytes("0101080a 11111111 22222222")
    var extensions6 = TestPacket.ipv6(.tcp)
    extensions6.firstExtension = 0
    extensions6.options = bytes("3c00 0104 0000 0000 0600 0104 0000 0000")
    extensions6.transportOptions = bytes("0101080a 11111111 22222222")
    var datagrams4 = TestPacket(transport: .udp)
    datagrams4.options = bytes("94040000")
    var datagrams6 = TestPacket.ipv6(.udp)
    datagrams6.firstExtension = 60
    datagrams6.options = bytes("1100 0104 0000 0000")
    return [
      TestPacket(), options4, .ipv6(.tcp), extensions6,
      TestPacket(transport: .udp), datagrams4, .ipv6(.udp), datagrams6,
    ]
  }

  /// Checks all that is promised of the parts of a valid super-packet.
  private func check(_ packet: TestPacket, segmentSize: Int, limit: Int) throws {
    let bytes = packet.packet
    var header = packet.header(segmentSize: segmentSize)
    let headers = Int(header.headerLength)
    if packet.transport == .tcp, packet.flags & 0x80 != 0 {
      header.segmentation.rawValue |= OffloadHeader.Segmentation.ecnBit
    }
    let parts = divider.divide(bytes, with: header, limit: limit)
    guard bytes.count > limit, packet.payload.count > segmentSize else {
      #expect(parts == nil)
      return
    }
    let divided = try #require(parts)
    let whole = try #require(splitter.split(bytes, with: header))
    #expect(try splitter.split(divided) == whole.map(normalized))

    let segments = limit > headers ? max(1, (limit - headers) / segmentSize) : 1
    #expect(divided.count == (whole.count + segments - 1) / segments)
    for (index, part) in divided.enumerated() {
      let payload = part.packet.count - headers
      #expect(part.packet.count <= limit || payload <= segmentSize)
      #expect(index == divided.count - 1 || payload == segments * segmentSize)
      var expected = header
      if payload <= segmentSize {
        expected.segmentation = .none
        expected.segmentSize = 0
      } else if index > 0 {
        expected.segmentation = header.segmentation.kind
      }
      #expect(part.header == expected)
      #expect(partialChecksum(of: part.packet, packet) == pseudoHeader(of: part.packet, packet))
    }
  }

  private func partialChecksum(of part: [UInt8], _ packet: TestPacket) -> [UInt8] {
    let header = packet.header(segmentSize: nil)
    let field = Int(header.checksumStart) + Int(header.checksumOffset)
    return Array(part[field..<field + 2])
  }

  private func pseudoHeader(of part: [UInt8], _ packet: TestPacket) -> [UInt8] {
    let length = part.count - Int(packet.header(segmentSize: nil).checksumStart)
    let number: UInt8 = packet.transport == .tcp ? 6 : 17
    let sum = TestPacket.sum(
      packet.source + packet.destination + [UInt8(length >> 8), UInt8(length & 0xFF), 0, number])
    return [UInt8(sum >> 8), UInt8(sum & 0xFF)]
  }

  // MARK: Byte for byte. The expectations were worked out by another program from the RFCs.

  @Test func `TCP over IPv4 is divided with its options, wrapping numbers, FIN, PSH and CWR where they belong`() {
    // Identification 0xFFFF, sequence number 0xFFFFFFFE, flags CWR ACK PSH FIN, a timestamp option.
    let packet = bytes(
      """
      4502003b ffff4000 400626b7 0a000002 0a000003 12345678 fffffffe aabbccdd 80992000 14320000
      0101080a 11111111 22222222 01020304 050607
      """)
    // The header as Linux fills it in, little-endian, for segments of three bytes: CWR stands beside the ECN bit.
    let header = bytes("01 81 3400 0300 1400 1000")
    let parts = divider.divide(header + packet, limit: 58)
    #expect(parts?.map(\.header.segmentation.rawValue) == [0x81, 0])
    #expect(parts?.map(\.header.segmentSize) == [3, 0])
    #expect(
      parts?.map(\.packet) == [
        bytes(
          """
          4502003a ffff4000 400626b8 0a000002 0a000003 12345678 fffffffe aabbccdd 80902000 14310000
          0101080a 11111111 22222222 01020304 0506
          """),
        bytes(
          """
          45020035 00014000 400626bc 0a000002 0a000003 12345678 00000004 aabbccdd 80192000 142c0000
          0101080a 11111111 22222222 07
          """),
      ])
  }

  @Test func `UDP over IPv6 behind an extension header is divided`() {
    let network = "fd000000000000000000000000000002 fd000000000000000000000000000003 1100010400000000"
    let packet = bytes("60012345 00173c40 \(network) 12345678 000ffa26 01020304 050607")
    let header = bytes("01 05 3800 0300 3000 0600")
    let parts = divider.divide(header + packet, limit: 62)
    #expect(parts?.map(\.header.segmentation.rawValue) == [5, 0])
    #expect(
      parts?.map(\.packet) == [
        bytes("60012345 00163c40 \(network) 12345678 000efa25 01020304 0506"),
        bytes("60012345 00113c40 \(network) 12345678 0009fa20 07"),
      ])
  }

  // MARK: The property

  @Test(arguments: [0, 60, 100, 139, 140, 141, 240, 1000, 1500, 4000, 16_384, 65_535, .max, .min, -1])
  func `parts are cut into what the whole is cut into`(limit: Int) throws {
    for var packet in Self.packets() {
      packet.identification = 0xFFF0
      packet.sequence = 0xFFFF_F000
      for flags: UInt8 in [0x10, 0x18, 0x19, 0x99, 0xD8] where flags == 0x10 || packet.transport == .tcp {
        packet.flags = flags
        for payload in [0, 1, 100, 101, 200, 201, 3000, 3099] {
          packet.payload = TestPacket.payload(count: payload)
          try check(packet, segmentSize: 100, limit: limit)
        }
      }
    }
  }

  @Test func `every limit is kept`() throws {
    for var packet in Self.packets() {
      packet.flags = 0x99
      packet.payload = TestPacket.payload(count: 333)
      for limit in stride(from: 40, through: 460, by: 3) { try check(packet, segmentSize: 50, limit: limit) }
    }
  }

  @Test func `the longest packets are divided`() throws {
    var packet = TestPacket(flags: 0x98)
    packet.payload = TestPacket.payload(count: 65_535 - 40)
    try check(packet, segmentSize: 1348, limit: 8000)
    try check(packet, segmentSize: 32, limit: 8000)
    packet = TestPacket.ipv6(.udp)
    packet.payload = TestPacket.payload(count: 65_535 - 8)
    try check(packet, segmentSize: 1348, limit: 8000)
    try check(packet, segmentSize: 65_526, limit: 8000)
  }

  @Test func `super-packets made at random are cut into the same packets in two steps as in one`() throws {
    var random = SeededGenerator(state: 6)
    for _ in 0..<400 {
      var packet = Self.packets().randomElement(using: &random)!
      packet.identification = .random(in: 0...(.max), using: &random)
      packet.sequence = .random(in: 0...(.max), using: &random)
      packet.flags = .random(in: 0...(.max), using: &random)
      let segmentSize = Int.random(in: 1...(Bool.random(using: &random) ? 100 : 9000), using: &random)
      let longest = min(segmentSize * (Bool.random(using: &random) ? 5 : 100), 65_000)
      packet.payload = TestPacket.payload(
        count: .random(in: 0...longest, using: &random), seed: .random(in: 0...10_000, using: &random))
      try check(packet, segmentSize: segmentSize, limit: .random(in: 0...packet.payload.count + 100, using: &random))
    }
  }

  @Test func `a checksum of zero is the same for TCP in either form`() throws {
    var packet = TestPacket(flags: 0x10)
    // Two segments of two bytes; the first has the sum that makes its checksum zero.
    packet.payload = [0, 0, 1, 1]
    let segment = try #require(splitter.split(packet.packet, with: packet.header(segmentSize: 2)))[0]
    packet.payload[0] = segment[36]
    packet.payload[1] = segment[37]
    let header = packet.header(segmentSize: 2)
    let whole = try #require(splitter.split(packet.packet, with: header))
    let parts = try #require(divider.divide(packet.packet, with: header, limit: 0))
    #expect(whole[0][36..<38] == [0, 0])
    #expect(try #require(splitter.split(parts[0].packet, with: parts[0].header))[0][36..<38] == [0xFF, 0xFF])
    try check(packet, segmentSize: 2, limit: 0)
  }

  @Test func `a wrong sum of the pseudo-header does not come through`() throws {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 1000)
    let header = packet.header(segmentSize: 100)
    var changed = packet.packet
    changed[36] ^= 0x55
    #expect(
      divider.divide(changed, with: header, limit: 500) == divider.divide(packet.packet, with: header, limit: 500))
  }

  @Test func `parts are divided further`() throws {
    for var packet in Self.packets() {
      packet.flags = 0x99
      // The last segment is long enough that no part is short enough by its being short.
      packet.payload = TestPacket.payload(count: 20_500)
      let header = packet.header(segmentSize: 1000)
      let parts = try #require(divider.divide(packet.packet, with: header, limit: 8100))
      let again = parts.flatMap { divider.divide($0.packet, with: $0.header, limit: 4100) ?? [$0] }
      #expect(again == divider.divide(packet.packet, with: header, limit: 4100))
    }
  }

  // MARK: What is left alone

  @Test func `a packet that is none or is short enough is left alone`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 1000)
    let header = packet.header(segmentSize: 100)
    #expect(divider.divide(packet.packet, with: header, limit: 1040) == nil)
    #expect(divider.divide(packet.packet, with: header, limit: 1039)?.count == 2)
    #expect(divider.divide(packet.packet, with: packet.header(segmentSize: nil), limit: 100) == nil)
    #expect(divider.divide(packet.packet, with: OffloadHeader(), limit: 100) == nil)
    #expect(divider.divide(packet.packet, with: packet.header(segmentSize: 1000), limit: 100) == nil)
    #expect(divider.divide([], limit: 0) == nil)
    #expect(divider.divide([UInt8](repeating: 1, count: 9), limit: -100) == nil)
    #expect(divider.divide([UInt8](repeating: 1, count: 10), limit: -100) == nil)
  }

  @Test func `a super-packet without a partial checksum is left alone`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 1000)
    var header = packet.header(segmentSize: 100)
    for flags in [0, OffloadHeader.dataValid] {
      header.flags = flags
      #expect(splitter.split(packet.packet, with: header) != nil)
      #expect(divider.divide(packet.packet, with: header, limit: 500) == nil)
    }
    header.flags = OffloadHeader.needsChecksum | OffloadHeader.dataValid
    #expect(divider.divide(packet.packet, with: header, limit: 500)?[0].header == packet.header(segmentSize: 100))
  }

  @Test func `what does not hold together is left alone`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 1000)
    let good = packet.packet
    for (offset, byte) in [(0, 0x44), (3, 0x11), (6, 0x20), (9, 17), (10, 0x11), (32, 0x40)] as [(Int, UInt8)] {
      var bytes = good
      #expect(bytes[offset] != byte)
      bytes[offset] = byte
      #expect(divider.divide(bytes, with: packet.header(segmentSize: 100), limit: 500) == nil)
    }
    var header = packet.header(segmentSize: 0)
    #expect(divider.divide(good, with: header, limit: 500) == nil)
    header.segmentSize = 100
    header.checksumStart += 1
    #expect(divider.divide(good, with: header, limit: 500) == nil)
  }
}
