import Testing
import Tun
import Wire

@Suite struct SuperPacketSplitterTests {
  private let splitter = TestSplitter()

  private func header(
    _ segmentation: OffloadHeader.Segmentation, size: UInt16, start: UInt16, offset: UInt16
  ) -> OffloadHeader {
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.segmentation = segmentation
    header.segmentSize = size
    header.checksumStart = start
    header.checksumOffset = offset
    return header
  }

  // MARK: Byte for byte. The expectations were worked out by another program from the RFCs.

  @Test func `TCP over IPv4 is cut with its options, wrapping numbers, FIN, PSH and CWR where they belong`() {
    // Identification 0xFFFF, sequence number 0xFFFFFFFE, flags CWR ACK PSH FIN, a timestamp option.
    let packet = bytes(
      """
      4502003b ffff4000 400626b7 0a000002 0a000003 12345678 fffffffe aabbccdd 80992000 14320000
      0101080a 11111111 22222222 01020304 050607
      """)
    #expect(
      splitter.split(packet, with: header(.init(rawValue: 0x81), size: 3, start: 20, offset: 16)) == [
        bytes(
          """
          45020037 ffff4000 400626bb 0a000002 0a000003 12345678 fffffffe aabbccdd 80902000 f7880000
          0101080a 11111111 22222222 010203
          """),
        bytes(
          """
          45020037 00004000 400626bb 0a000002 0a000003 12345678 00000001 aabbccdd 80102000 f2030000
          0101080a 11111111 22222222 040506
          """),
        bytes(
          """
          45020035 00014000 400626bc 0a000002 0a000003 12345678 00000004 aabbccdd 80192000 f4fe0000
          0101080a 11111111 22222222 07
          """),
      ])
  }

  @Test func `TCP over IPv6 is cut`() {
    let network = "fd000000000000000000000000000002 fd000000000000000000000000000003"
    let packet = bytes(
      "60012345 001b0640 \(network) 12345678 00000064 aabbccdd 50182000 fa270000 01020304 050607")
    #expect(
      splitter.split(packet, with: header(.tcpv6, size: 3, start: 40, offset: 16)) == [
        bytes("60012345 00170640 \(network) 12345678 00000064 aabbccdd 50102000 b11f0000 010203"),
        bytes("60012345 00170640 \(network) 12345678 00000067 aabbccdd 50102000 ab190000 040506"),
        bytes("60012345 00150640 \(network) 12345678 0000006a aabbccdd 50182000 ae150000 07"),
      ])
  }

  @Test func `UDP over IPv4 with an IPv4 option is cut into datagrams`() {
    let packet = bytes(
      "46020027 00070000 4011d1b4 0a000002 0a000003 94040000 12345678 000f1425 01020304 050607")
    #expect(
      splitter.split(packet, with: header(.udpL4, size: 3, start: 24, offset: 6)) == [
        bytes("46020023 00070000 4011d1b8 0a000002 0a000003 94040000 12345678 000b7f25 010203"),
        bytes("46020023 00080000 4011d1b7 0a000002 0a000003 94040000 12345678 000b7922 040506"),
        bytes("46020021 00090000 4011d1b8 0a000002 0a000003 94040000 12345678 00097c2b 07"),
      ])
  }

  @Test func `UDP over IPv6 behind an extension header is cut into datagrams`() {
    let network = "fd000000000000000000000000000002 fd000000000000000000000000000003 1100010400000000"
    let packet = bytes("60012345 00173c40 \(network) 12345678 000ffa26 01020304 050607")
    #expect(
      splitter.split(packet, with: header(.udpL4, size: 3, start: 48, offset: 6)) == [
        bytes("60012345 00133c40 \(network) 12345678 000b9923 010203"),
        bytes("60012345 00133c40 \(network) 12345678 000b9320 040506"),
        bytes("60012345 00113c40 \(network) 12345678 00099629 07"),
      ])
  }

  @Test func `a partial checksum is completed and nothing else changes`() {
    let packet = bytes("45020023 00094000 401126bb 0a000002 0a000003 12345678 000f1425 01020304 050607")
    #expect(
      splitter.split(packet, with: header(.none, size: 0, start: 20, offset: 6)) == [
        bytes("45020023 00094000 401126bb 0a000002 0a000003 12345678 000f7313 01020304 050607")
      ])
  }

  // MARK: Behaviour

  @Test func `a complete packet comes out as it is`() {
    var packet = TestPacket(transport: .udp)
    packet.payload = TestPacket.payload(count: 99)
    for flags in [0, OffloadHeader.dataValid] {
      var header = OffloadHeader()
      header.flags = flags
      #expect(splitter.split(packet.packet, with: header) == [packet.packet])
    }
  }

  @Test func `a checksum of zero is sent as its other form`() throws {
    var packet = TestPacket(transport: .udp)
    packet.payload = [0, 0]
    // The sum of everything is the last two bytes' complement short of 0xFFFF.
    let sum = TestPacket.sum(Array(packet.packet[20...]))
    packet.payload = [UInt8(~sum >> 8), UInt8(~sum & 0xFF)]
    for segmentSize in [nil, 2] {
      let result = try #require(splitter.split(packet.packet, with: packet.header(segmentSize: segmentSize)))
      #expect(result.count == 1)
      #expect(result[0][26..<28] == [0xFF, 0xFF])
    }
  }

  @Test func `a super-packet that fits in one packet keeps its flags`() throws {
    for payload in [0, 1, 99, 100] {
      var packet = TestPacket()
      packet.flags = 0x99
      packet.payload = TestPacket.payload(count: payload)
      let result = try #require(splitter.split(packet.packet, with: packet.header(segmentSize: 100)))
      #expect(result.count == 1)
      #expect(result[0][33] == 0x99)
      #expect(result[0].count == 40 + payload)
    }
  }

  @Test func `a super-packet with its checksum complete is cut all the same`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 1000)
    var header = packet.header(segmentSize: 100)
    let expected = splitter.split(packet.packet, with: header)
    header.flags = OffloadHeader.dataValid
    header.checksumStart = 0
    header.checksumOffset = 0
    #expect(expected?.count == 10)
    #expect(splitter.split(packet.packet, with: header) == expected)
  }

  @Test func `the longest packets are cut`() throws {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 65_535 - 40)
    #expect(splitter.split(packet.packet, with: packet.header(segmentSize: 1400))?.count == 47)
    packet = TestPacket.ipv6(.udp)
    packet.payload = TestPacket.payload(count: 65_535 - 8)
    #expect(splitter.split(packet.packet, with: packet.header(segmentSize: 1400))?.count == 47)
    #expect(splitter.split(packet.packet, with: packet.header(segmentSize: 65_535))?.count == 1)
    #expect(splitter.split(packet.packet + [0], with: packet.header(segmentSize: 1400)) == nil)
  }

  // MARK: What is refused

  @Test func `more segments than anybody would send are refused`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 2049)
    #expect(splitter.split(packet.packet, with: packet.header(segmentSize: 1)) == nil)
    packet.payload.removeLast()
    #expect(splitter.split(packet.packet, with: packet.header(segmentSize: 1))?.count == 2048)
  }

  @Test func `headers that disagree with the packet are refused`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 100)
    func refuses(_ change: (inout OffloadHeader) -> Void) -> Bool {
      var header = packet.header(segmentSize: 10)
      change(&header)
      return splitter.split(packet.packet, with: header) == nil
    }
    #expect(!refuses { _ in })
    #expect(refuses { $0.segmentSize = 0 })
    #expect(refuses { $0.segmentation = .tcpv6 })
    #expect(refuses { $0.segmentation = .udpL4 })
    #expect(refuses { $0.segmentation.rawValue = 3 })
    #expect(refuses { $0.segmentation.rawValue = 0x80 })
    #expect(refuses { $0.segmentation.rawValue = 0x21 })
    #expect(refuses { $0.flags = 4 })
    #expect(refuses { $0.headerLength = 141 })
    #expect(refuses { $0.checksumStart = 0 })
    #expect(refuses { $0.checksumStart = 21 })
    #expect(refuses { $0.checksumStart = .max })
    #expect(refuses { $0.checksumOffset = 6 })
    #expect(refuses { $0.checksumOffset = .max })
  }

  @Test func `a checksum that is not wholly behind the IP header is refused`() {
    var packet = TestPacket(transport: .udp)
    packet.payload = TestPacket.payload(count: 4)
    for (start, offset, isValid) in [
      (20, 6, true), (20, 10, true), (20, 11, false), (19, 6, false), (0, 20, false), (30, 0, true), (31, 0, false),
      (32, 0, false), (65_535, 65_535, false),
    ] {
      let header = header(.none, size: 0, start: UInt16(start), offset: UInt16(offset))
      #expect((splitter.split(packet.packet, with: header) != nil) == isValid, "\(start) + \(offset)")
    }
  }

  @Test func `broken IPv4 and TCP headers are refused`() {
    var packet = TestPacket()
    packet.payload = TestPacket.payload(count: 100)
    let good = packet.packet
    let header = packet.header(segmentSize: 10)
    func refuses(_ changes: [Int: UInt8]) -> Bool {
      var bytes = good
      for (offset, byte) in changes { bytes[offset] = byte }
      bytes.replaceSubrange(10..<12, with: [0, 0])
      let checksum = ~TestPacket.sum(Array(bytes[..<20]))
      bytes.replaceSubrange(10..<12, with: [UInt8(checksum >> 8), UInt8(checksum & 0xFF)])
      return splitter.split(bytes, with: header) == nil
    }
    #expect(!refuses([:]))
    #expect(refuses([0: 0x44]))
    #expect(refuses([0: 0x46]))
    #expect(refuses([0: 0x65]))
    #expect(refuses([0: 0x05]))
    #expect(refuses([3: good[3] + 1]))
    #expect(refuses([3: good[3] - 1]))
    #expect(refuses([6: 0x20]))
    #expect(refuses([7: 0x01]))
    #expect(refuses([9: 17]))
    #expect(refuses([32: 0x40]))
    #expect(!refuses([32: 0xF0]))
    var checksumWrong = good
    checksumWrong[10] ^= 1
    #expect(splitter.split(checksumWrong, with: header) == nil)
    #expect(splitter.split(Array(good.dropLast()), with: header) == nil)
    #expect(splitter.split(good + [0], with: header) == nil)
    #expect(splitter.split([], with: header) == nil)
    #expect(splitter.split([], with: OffloadHeader()) == nil)
  }

  @Test func `IPv6 extension headers that segments may not repeat are refused`() {
    var packet = TestPacket.ipv6(.tcp)
    packet.payload = TestPacket.payload(count: 100)
    func accepts(_ first: UInt8, _ extensions: [UInt8]) -> Bool {
      packet.firstExtension = first
      packet.options = extensions
      return splitter.split(packet.packet, with: packet.header(segmentSize: 10)) != nil
    }
    let padding = bytes("0104 0000 0000")
    #expect(accepts(6, []))
    #expect(accepts(0, [6, 0] + padding))
    #expect(accepts(60, [6, 0] + padding))
    #expect(accepts(0, [60, 0] + padding + [6, 0] + padding))
    #expect(accepts(60, [6, 1] + padding + bytes("0106 0000 0000 0000")))
    // Hop-by-hop elsewhere than first; routing; fragment; authentication; too long; beyond the packet; another
    // protocol.
    #expect(!accepts(60, [0, 0] + padding + [6, 0] + padding))
    #expect(!accepts(43, [6, 0] + padding))
    #expect(!accepts(44, [6, 0] + padding))
    #expect(!accepts(51, [6, 0] + padding))
    #expect(!accepts(60, [6, 32] + [UInt8](repeating: 0, count: 33 * 8 - 2)))
    #expect(!accepts(60, [6, 255] + padding))
    #expect(!accepts(60, [17, 0] + padding))
  }

  @Test func `a UDP length other than the packet's is refused`() {
    var packet = TestPacket.ipv6(.udp)
    packet.payload = TestPacket.payload(count: 100)
    var bytes = packet.packet
    for length in [0, 7, 8, 107, 109, 255] {
      bytes[44] = 0
      bytes[45] = UInt8(length)
      #expect(splitter.split(bytes, with: packet.header(segmentSize: 10)) == nil)
    }
  }
}
