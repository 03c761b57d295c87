import Testing
import Tun
import Wire

/// The splitter against the kernel: a super-packet goes in at one TUN, is forwarded, and comes out at another that
/// takes no offloads, so that the kernel has to cut it.
///
///     in0, 10.1.0.1/24, fd01::1/64  →  forwarding  →  out0, 10.2.0.1/24, fd02::1/64
@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement))
struct KernelSegmentationTests {
  private func forward(
    _ packet: TestPacket, segmentSize: Int?, count: Int, outOffload: Bool = false
  ) throws -> [(header: OffloadHeader, packet: [UInt8])] {
    let part = TestDivider.Part(header: packet.header(segmentSize: segmentSize), packet: packet.packet)
    return try forward([part], to: packet.destination, count: count, outOffload: outOffload)
  }

  private func forward(
    _ parts: [TestDivider.Part], to target: [UInt8], count: Int, outOffload: Bool
  ) throws -> [(header: OffloadHeader, packet: [UInt8])] {
    try NetworkNamespace().run {
      let input = try LinuxTun(name: "in0", offload: true)
      let output = try LinuxTun(name: "out0", offload: outOffload)
      try input.configure(
        address: #require(IPv4Address("10.1.0.1")), in: #require(IPv4Prefix("10.1.0.0/24")), mtu: 9000)
      try output.configure(
        address: #require(IPv4Address("10.2.0.1")), in: #require(IPv4Prefix("10.2.0.0/24")), mtu: 1500)
      setNetworkVariable("ipv4/ip_forward", to: "1")
      setNetworkVariable("ipv6/conf/all/forwarding", to: "1")
      shell("ip address add fd01::1/64 dev in0 nodad; ip address add fd02::1/64 dev out0 nodad")
      for part in parts { #expect(input.write(part.packet, with: part.header)) }
      return try PacketCollector.collect(from: output, count: count) { bytes in
        let destination = target.count == 4 ? 16..<20 : 24..<40
        return bytes.count >= destination.upperBound && Array(bytes[destination]) == target
      }
    }
  }

  /// What forwarding does to a packet: it has one hop less to go, and IPv4's checksum follows.
  private func forwarded(_ packet: [UInt8], _ network: TestPacket.Network) -> [UInt8] {
    var packet = packet
    guard network == .ipv4 else {
      packet[7] -= 1
      return packet
    }
    packet[8] -= 1
    packet.replaceSubrange(10..<12, with: [0, 0])
    let checksum = ~TestPacket.sum(Array(packet[..<(Int(packet[0] & 15) * 4)]))
    packet.replaceSubrange(10..<12, with: [UInt8(checksum >> 8), UInt8(checksum & 0xFF)])
    return packet
  }

  private func compare(_ packet: TestPacket, segmentSize: Int?) throws {
    let header = packet.header(segmentSize: segmentSize)
    let expected = try #require(TestSplitter().split(packet.packet, with: header))
    let result = try forward(packet, segmentSize: segmentSize, count: expected.count)
    try #require(result.count == expected.count)
    for (result, expected) in zip(result, expected) {
      #expect(result.header.segmentation == .none)
      #expect(result.header.flags & OffloadHeader.needsChecksum == 0)
      // Identification included: the kernel counts as the splitter does.
      #expect(result.packet == forwarded(expected, packet.network))
    }
  }

  @Test(arguments: [(1, 1000), (2000, 1000), (2001, 1000), (60_000, 1400), (5000, 77)])
  func `TCP over IPv4 is cut as the kernel cuts it`(payload: Int, segmentSize: Int) throws {
    var packet = TestPacket(flags: 0x99, payload: TestPacket.payload(count: payload))
    packet.transportOptions = bytes("0101080a 11111111 22222222")
    packet.identification = 0xFFFE
    packet.sequence = 0xFFFF_F000
    try compare(packet, segmentSize: segmentSize)
  }

  @Test func `IPv4 options go before every segment`() throws {
    var packet = TestPacket(payload: TestPacket.payload(count: 3333))
    packet.options = bytes("01010100")
    try compare(packet, segmentSize: 1000)
  }

  @Test(arguments: [(1, 1000), (2000, 1000), (2001, 1000), (60_000, 1400), (5000, 77)])
  func `TCP over IPv6 is cut as the kernel cuts it`(payload: Int, segmentSize: Int) throws {
    var packet = TestPacket.ipv6(.tcp)
    packet.payload = TestPacket.payload(count: payload)
    packet.flags = 0x19
    try compare(packet, segmentSize: segmentSize)
  }

  @Test(arguments: [TestPacket.Transport.tcp, .udp])
  func `IPv6 extension headers go before every segment`(transport: TestPacket.Transport) throws {
    var packet = TestPacket.ipv6(transport)
    packet.payload = TestPacket.payload(count: 3333)
    packet.firstExtension = 60
    packet.options = [transport == .tcp ? 6 : 17, 0] + bytes("0104 0000 0000")
    try compare(packet, segmentSize: 1000)
  }

  @Test(arguments: [(1, 1000), (2000, 1000), (2001, 1000), (60_000, 1400), (5000, 77)])
  func `UDP over IPv4 is cut as the kernel cuts it`(payload: Int, segmentSize: Int) throws {
    try compare(
      TestPacket(transport: .udp, payload: TestPacket.payload(count: payload)), segmentSize: segmentSize)
  }

  @Test(arguments: [(1, 1000), (2000, 1000), (2001, 1000), (60_000, 1400), (5000, 77)])
  func `UDP over IPv6 is cut as the kernel cuts it`(payload: Int, segmentSize: Int) throws {
    var packet = TestPacket.ipv6(.udp)
    packet.payload = TestPacket.payload(count: payload)
    try compare(packet, segmentSize: segmentSize)
  }

  @Test(arguments: [0, 1, 2, 1399])
  func `a partial checksum is completed as the kernel completes it`(payload: Int) throws {
    for transport in [TestPacket.Transport.tcp, .udp] {
      try compare(TestPacket(transport: transport, payload: TestPacket.payload(count: payload)), segmentSize: nil)
      var packet = TestPacket.ipv6(transport)
      packet.payload = TestPacket.payload(count: payload)
      try compare(packet, segmentSize: nil)
    }
  }

  @Test func `a super-packet passes the kernel whole between two TUNs with offloads`() throws {
    for transport in [TestPacket.Transport.tcp, .udp] {
      let packet = TestPacket(transport: transport, payload: TestPacket.payload(count: 60_000))
      let result = try forward(packet, segmentSize: 1400, count: 1, outOffload: true)
      try #require(result.count == 1)
      var header = packet.header(segmentSize: 1400)
      header.headerLength = result[0].header.headerLength
      #expect(result[0].header == header)
      #expect(result[0].packet == forwarded(packet.packet, .ipv4))
    }
  }

  // MARK: Parts

  private static let divisible: [TestPacket] = {
    let payload = TestPacket.payload(count: 60_001)
    var options4 = TestPacket(identification: 0xFFFE, sequence: 0xFFFF_F000, flags: 0x99, payload: payload)
    options4.options = bytes("01010100")
    options4.transportOptions = bytes("0101080a 11111111 22222222")
    var tcp6 = TestPacket.ipv6(.tcp)
    tcp6.payload = payload
    tcp6.flags = 0x19
    var extensions6 = TestPacket.ipv6(.udp)
    extensions6.payload = payload
    extensions6.firstExtension = 60
    extensions6.options = bytes("1100 0104 0000 0000")
    return [options4, tcp6, TestPacket(transport: .udp, payload: payload), extensions6]
  }()

  @Test(arguments: [0, 2000, 4500, 16_384])
  func `the kernel cuts parts into what the splitter cuts the whole into`(limit: Int) throws {
    for packet in Self.divisible {
      let header = packet.header(segmentSize: 1400)
      let parts = try #require(TestDivider().divide(packet.packet, with: header, limit: limit))
      let expected = try #require(TestSplitter().split(packet.packet, with: header))
      let result = try forward(parts, to: packet.destination, count: expected.count, outOffload: false)
      #expect(result.map { normalized($0.packet) } == expected.map { normalized(forwarded($0, packet.network)) })
    }
  }

  @Test(arguments: [0, 4500]) func `parts pass the kernel as they are between two TUNs with offloads`(limit: Int) throws
  {
    for packet in Self.divisible {
      let parts = try #require(
        TestDivider().divide(packet.packet, with: packet.header(segmentSize: 1400), limit: limit))
      let result = try forward(parts, to: packet.destination, count: parts.count, outOffload: true)
      #expect(result.map(\.packet) == parts.map { forwarded($0.packet, packet.network) })
      for (result, part) in zip(result, parts) {
        var header = part.header
        header.headerLength = result.header.headerLength
        #expect(result.header == header)
      }
    }
  }
}
