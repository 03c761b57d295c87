import TestSupport
import Testing
import Wire

@Suite struct TCPPeekTests {
  private static let here = IPv4Address(bits: 0x0A00_0002)
  private static let there = IPv4Address(bits: 0x0A00_0003)
  private static let here6 = IPv6Address(high: 0xFD00_0000_0000_0000, low: 2)
  private static let there6 = IPv6Address(high: 0xFD00_0000_0000_0000, low: 3)

  private static func peek(_ packet: some Sequence<UInt8>) -> TCPPeek? {
    Array(packet).withUnsafeBytes { bytes in IPPeek(bytes.bytes).flatMap { TCPPeek(bytes.bytes, $0) } }
  }

  @Test func `a segment is read over either version of IP, with options or not`() throws {
    for packet in [
      segment(from: Self.here, to: Self.there, sequence: 7, acknowledgment: 9, payload: 1000),
      segment(from: Self.here, to: Self.there, sequence: 7, acknowledgment: 9, options: timestamps(), payload: 1000),
      segment(from: Self.here6, to: Self.there6, sequence: 7, acknowledgment: 9, payload: 1000),
    ] {
      let peek = try #require(Self.peek(packet))
      #expect((peek.sourcePort, peek.destinationPort) == (5001, 443))
      #expect((peek.sequence, peek.acknowledgment, peek.acknowledges) == (7, 9, true))
      #expect(peek.payloadLength == 1000 && peek.end == 1007)
      // What lies behind the packet is not its own.
      #expect(Self.peek(packet + [1, 2, 3]) == peek)
    }
  }

  @Test func `what is no whole segment is none`() {
    let packet = segment(from: Self.here, to: Self.there, options: [UInt8](repeating: 1, count: 8))
    for end in 0..<packet.count { #expect(Self.peek(packet[..<end]) == nil) }
    var other = packet
    other[9] = 17
    #expect(Self.peek(other) == nil)
    var fragment = packet
    fragment[6] = 0x20
    #expect(Self.peek(fragment) == nil)
    for words in UInt8(0)..<16 where words < 5 || words > 7 {
      var odd = packet
      odd[32] = words << 4
      #expect(Self.peek(odd) == nil, "a header of \(words) words")
    }
    var extended = segment(from: Self.here6, to: Self.there6)
    extended[6] = 60
    #expect(Self.peek(extended) == nil)
  }

  @Test func `an acknowledgment confirms what it covers of its own connection, also where numbers go round`() throws {
    let sent = try #require(
      Self.peek(segment(from: Self.here, to: Self.there, sequence: 0xFFFF_FF00, payload: 0x200)))
    func confirms(
      _ acknowledgment: UInt32, ports: (source: UInt16, destination: UInt16) = (443, 5001), flags: UInt8 = 0x10
    ) throws -> Bool {
      var packet = segment(from: Self.there, to: Self.here, acknowledgment: acknowledgment, ports: ports)
      packet[33] = flags
      return try #require(Self.peek(packet)).confirms(sent)
    }
    #expect(try confirms(0x100))
    #expect(try confirms(0x8000))
    #expect(try !confirms(0xFF))
    #expect(try !confirms(0xFFFF_FFFF))
    #expect(try !confirms(0x100, ports: (443, 5002)))
    #expect(try !confirms(0x100, ports: (5001, 443)))
    #expect(try !confirms(0x100, flags: 0x04))
  }
}
