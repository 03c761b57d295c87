import TestSupport
import Testing
import Wire

@Suite struct IPPacketTests {
  private static func peek(_ packet: some Sequence<UInt8>) -> IPPeek? {
    Array(packet).withUnsafeBytes { IPPeek($0.bytes) }
  }

  private static func v4(_ packet: some Sequence<UInt8>) throws -> IPv4Peek {
    guard case .ipv4(let peek) = try #require(peek(packet)) else { throw WireError.badPacketRecord }
    return peek
  }

  private static func v6(_ packet: some Sequence<UInt8>) throws -> IPv6Peek {
    guard case .ipv6(let peek) = try #require(peek(packet)) else { throw WireError.badPacketRecord }
    return peek
  }

  struct V4 {
    var source: UInt32 = 0x0A00_0002
    var destination: UInt32 = 0x0A00_0003
    var transport: UInt8 = 6
    var fragment: UInt16 = 0
    var options = 0
    var payload: [UInt8] = [0x12, 0x34, 0x00, 0x50] + [UInt8](repeating: 0, count: 16)

    var bytes: [UInt8] {
      let total = 20 + options + payload.count
      var bytes: [UInt8] = [0x40 | UInt8((20 + options) / 4), 0, UInt8(total >> 8), UInt8(total & 255), 0, 0]
      bytes += [UInt8(fragment >> 8), UInt8(fragment & 255), 64, transport, 0, 0]
      for word in [source, destination] { bytes += (0..<4).map { UInt8(word >> UInt32(24 - 8 * $0) & 255) } }
      return bytes + [UInt8](repeating: 1, count: options) + payload
    }
  }

  private static func ports(_ source: UInt16, _ destination: UInt16) -> [UInt8] {
    [source, destination].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] } + [0, 0, 0, 0]
  }

  private static func v6Packet(
    nextHeader: UInt8 = 17, source: UInt8 = 2, destination: UInt8 = 3, payload: [UInt8] = ports(1000, 53)
  ) -> [UInt8] {
    let prefix: [UInt8] = [0xFD, 0] + [UInt8](repeating: 0, count: 13)
    return [0x60, 0, 0, 0, UInt8(payload.count >> 8), UInt8(payload.count & 255), nextHeader, 64]
      + prefix + [source] + prefix + [destination] + payload
  }

  // MARK: IPv4

  @Test(arguments: [0, 4, 20, 40])
  func `an IPv4 header is read with options of any length`(options: Int) throws {
    let peek = try Self.v4(V4(options: options).bytes)
    #expect(peek.source.description == "10.0.0.2")
    #expect(peek.destination.description == "10.0.0.3")
    #expect(peek.transport == 6)
    #expect(peek.headerLength == 20 + options)
    #expect(peek.flow == (try Self.v4(V4().bytes).flow))
  }

  @Test func `an IPv4 packet cut anywhere is none`() throws {
    for packet in [V4().bytes, V4(options: 12).bytes] {
      for end in 0..<packet.count { #expect(Self.peek(packet[..<end]) == nil) }
      #expect(Self.peek(packet) != nil)
    }
  }

  @Test func `a header shorter than the least, or longer than the packet, is none`() {
    for words in UInt8(0)..<5 {
      var packet = V4().bytes
      packet[0] = 0x40 | words
      #expect(Self.peek(packet) == nil)
    }
    var packet = V4(payload: []).bytes
    packet[0] = 0x46
    #expect(Self.peek(packet) == nil)
    // The header's length is within the memory, but not within the packet.
    #expect(Self.peek(packet + [UInt8](repeating: 0, count: 40)) == nil)
  }

  @Test func `what follows an IPv4 packet is not looked at`() throws {
    for payload in 0..<4 {
      let packet = V4(payload: [UInt8](repeating: 9, count: payload)).bytes
      #expect(try Self.v4(packet + [1, 2, 3, 4]).flow == Self.v4(packet + [5, 6, 7, 8]).flow)
    }
  }

  @Test func `a packet too short for ports has a flow all the same`() throws {
    for length in 0..<4 {
      let packet = V4(payload: [UInt8](repeating: 1, count: length)).bytes
      #expect(try Self.v4(packet).flow == Self.v4(V4(payload: []).bytes).flow)
    }
  }

  @Test(arguments: [0x2000, 0x0001, 0x1FFF, 0x3FFF] as [UInt16])
  func `every fragment of a packet is of the same flow, which ports do not change`(fragment: UInt16) throws {
    let flow = try Self.v4(V4(fragment: fragment).bytes).flow
    #expect(try Self.v4(V4(fragment: fragment, payload: Self.ports(1, 2)).bytes).flow == flow)
    #expect(try Self.v4(V4(fragment: 0x2000, payload: []).bytes).flow == flow)
  }

  @Test func `the bit that forbids fragments makes none`() throws {
    #expect(try Self.v4(V4(fragment: 0x4000).bytes).flow == Self.v4(V4().bytes).flow)
  }

  // MARK: IPv6

  @Test func `an IPv6 header is read`() throws {
    #expect(try Self.v6(Self.v6Packet()).nextHeader == 17)
    #expect(try Self.v6(Self.v6Packet(nextHeader: 59, payload: [])).nextHeader == 59)
  }

  @Test func `the addresses of an IPv6 packet are read`() throws {
    let peek = try Self.v6(Self.v6Packet(source: 7, destination: 9))
    #expect(peek.source.description == "fd00::7" && peek.destination.description == "fd00::9")
    #expect(IPPeek.ipv6(peek).flow == peek.flow)
  }

  @Test func `an IPv6 packet cut anywhere is none`() {
    let packet = Self.v6Packet()
    for end in 0..<packet.count { #expect(Self.peek(packet[..<end]) == nil) }
  }

  @Test func `fragments and extension headers of IPv6 have no ports`() throws {
    for nextHeader: UInt8 in [0, 43, 44, 58, 60] {
      let first = try Self.v6(Self.v6Packet(nextHeader: nextHeader, payload: Self.ports(1, 2)))
      let second = try Self.v6(Self.v6Packet(nextHeader: nextHeader, payload: Self.ports(3, 4)))
      #expect(first.flow == second.flow)
    }
  }

  @Test func `what follows an IPv6 packet is not looked at`() throws {
    let packet = Self.v6Packet(payload: [1, 2])
    #expect(try Self.v6(packet + [1, 2, 3, 4]).flow == Self.v6(packet + [5, 6, 7, 8]).flow)
  }

  // MARK: Neither

  @Test func `other versions and no bytes at all are no packets`() {
    #expect(Self.peek([]) == nil)
    for version in UInt8(0)..<16 where version != 4 && version != 6 {
      #expect(Self.peek([version << 4 | 5] + [UInt8](repeating: 0, count: 99)) == nil)
    }
  }

  // MARK: Flows

  @Test func `a flow is the five-tuple and nothing else`() throws {
    var packet = V4(payload: Self.ports(40_000, 443) + [1, 2, 3]).bytes
    let flow = try Self.v4(packet).flow
    for offset in [1, 4, 5, 8, 10, 11, packet.count - 1] {
      packet[offset] &+= 1
      #expect(try Self.v4(packet).flow == flow)
    }
    packet = Self.v6Packet(payload: Self.ports(1, 2) + [0])
    let other = try Self.v6(packet).flow
    for offset in [1, 2, 3, 7, packet.count - 1] {
      packet[offset] &+= 1
      #expect(try Self.v6(packet).flow == other)
    }
  }

  @Test func `other five-tuples are mostly other flows, and fill a table evenly`() throws {
    var flows: [UInt16] = []
    for port: UInt16 in 0..<256 {
      flows.append(try Self.v4(V4(payload: Self.ports(40_000 + port, 443)).bytes).flow)
      flows.append(try Self.v4(V4(payload: Self.ports(443, 40_000 + port)).bytes).flow)
      flows.append(try Self.v4(V4(transport: 17, payload: Self.ports(40_000 + port, 443)).bytes).flow)
      flows.append(try Self.v4(V4(source: 0x0A00_0000 + UInt32(port)).bytes).flow)
      flows.append(try Self.v4(V4(destination: 0x0A00_0100 + UInt32(port)).bytes).flow)
      flows.append(try Self.v6(Self.v6Packet(payload: Self.ports(40_000 + port, 443))).flow)
      flows.append(try Self.v6(Self.v6Packet(source: UInt8(port))).flow)
      flows.append(try Self.v6(Self.v6Packet(destination: UInt8(port))).flow)
    }
    // 2048 of 65536: about 32 meet by chance.
    #expect(Set(flows).count > 1900)
    // And 8 on average in each of 256 places, which is what a queue makes of them.
    for block in stride(from: 0, to: 2048, by: 256) {
      var places = [Int](repeating: 0, count: 256)
      for index in stride(from: block / 256, to: 2048, by: 8) { places[Int(flows[index] % 256)] += 1 }
      #expect(places.max()! <= 10)
      #expect(places.count { $0 == 0 } < 150)
    }
  }
}
