import Testing
import Tun
import Wire

/// The bytes that hexadecimal digits stand for; spaces are for the reader.
func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// The splitter in a form that macros can take apart.
final class TestSplitter {
  private let splitter = SuperPacketSplitter()

  /// The packets that come out, `nil` if the input is refused.
  func split(_ packet: [UInt8], with header: OffloadHeader) -> [[UInt8]]? {
    var packets: [[UInt8]] = []
    let isValid = splitter.split(packet.span.bytes, with: header) { packets.append($0.withUnsafeBytes { Array($0) }) }
    precondition(isValid || packets.isEmpty, "a part of a refused packet came out")
    return isValid ? packets : nil
  }

  /// All the packets that parts stand for, in order, in their `normalized` form.
  func split(_ parts: [TestDivider.Part]) throws -> [[UInt8]] {
    try parts.flatMap { part in try #require(split(part.packet, with: part.header)) }.map(normalized)
  }
}

/// The packet with a TCP checksum of zero in its other form. A packet's own partial checksum is completed to that form,
/// by Linux too (`skb_checksum_help`), a segment's to zero; they mean the same (RFC 1071).
func normalized(_ packet: [UInt8]) -> [UInt8] {
  var packet = packet
  var (next, start) = packet[0] >> 4 == 4 ? (packet[9], Int(packet[0] & 15) * 4) : (packet[6], 40)
  while packet[0] >> 4 == 6, next == 0 || next == 60, start + 1 < packet.count {
    (next, start) = (packet[start], start + Int(packet[start + 1]) * 8 + 8)
  }
  let field = start + 16
  if next == 6, field + 2 <= packet.count, packet[field..<field + 2] == [0, 0] {
    packet.replaceSubrange(field..<field + 2, with: [0xFF, 0xFF])
  }
  return packet
}

/// The divider in a form that macros can take apart.
final class TestDivider {
  private let divider = SuperPacketDivider()

  /// The parts that come out, `nil` if the input is not divided.
  func divide(_ packet: [UInt8], with header: OffloadHeader, limit: Int) -> [Part]? {
    var record = [UInt8](repeating: 0, count: OffloadHeader.size) + packet
    record.withUnsafeMutableBytes(header.write)
    return divide(record, limit: limit)
  }

  /// The same for a record of any bytes.
  func divide(_ record: [UInt8], limit: Int) -> [Part]? {
    var parts: [Part] = []
    let isDivided = record.withUnsafeBytes { record in
      divider.divide(record, limit: limit) { part in
        guard let header = OffloadHeader(parsing: part.bytes) else { preconditionFailure("a part without header") }
        parts.append(Part(header: header, packet: Array(part.dropFirst(OffloadHeader.size))))
      }
    }
    precondition(isDivided == !parts.isEmpty, "parts and answer disagree")
    return isDivided ? parts : nil
  }

  struct Part: Equatable {
    var header: OffloadHeader
    var packet: [UInt8]
  }
}

/// SplitMix64: alike in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}

/// A packet with a partial checksum for tests, built plainly: nothing here is shared with what is tested.
struct TestPacket {
  enum Network { case ipv4, ipv6 }
  enum Transport { case tcp, udp }

  var network = Network.ipv4
  var transport = Transport.tcp
  var source: [UInt8] = [10, 1, 0, 2]
  var destination: [UInt8] = [10, 2, 0, 2]
  /// IPv4's options or IPv6's extension headers, the latter with the type of the first.
  var options: [UInt8] = []
  var firstExtension: UInt8?
  var identification: UInt16 = 0x1000
  var sequence: UInt32 = 0x0102_0304
  var flags: UInt8 = 0x18
  var transportOptions: [UInt8] = []
  var payload: [UInt8] = []

  static func payload(count: Int, seed: Int = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 2_654_435_761 >> 9) }
  }

  private var number: UInt8 { transport == .tcp ? 6 : 17 }
  private var transportHeader: Int { transport == .tcp ? 20 + transportOptions.count : 8 }
  private var transportOffset: Int { (network == .ipv4 ? 20 : 40) + options.count }
  private var fieldOffset: Int { transport == .tcp ? 16 : 6 }

  /// Ones' complement sum, word for word, not inverted.
  static func sum(_ bytes: [UInt8]) -> UInt16 {
    var sum = 0
    for (index, byte) in bytes.enumerated() { sum += index.isMultiple(of: 2) ? Int(byte) << 8 : Int(byte) }
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    return UInt16(sum)
  }

  private static func big<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
    withUnsafeBytes(of: word.bigEndian) { Array($0) }
  }

  /// The packet, its transport checksum partial: the sum of the pseudo-header.
  var packet: [UInt8] {
    let length = transportHeader + payload.count
    let pseudo = Self.sum(source + destination + Self.big(UInt32(length)) + Self.big(UInt32(number)))
    var segment: [UInt8]
    switch transport {
    case .tcp:
      segment = Self.big(UInt16(5000)) + Self.big(UInt16(6000)) + Self.big(sequence) + Self.big(UInt32(77))
      segment += [UInt8(((20 + transportOptions.count) / 4) << 4), flags, 0x20, 0, 0, 0, 0, 0] + transportOptions
    case .udp:
      segment = Self.big(UInt16(5000)) + Self.big(UInt16(6000)) + Self.big(UInt16(length)) + [0, 0]
    }
    segment.replaceSubrange(fieldOffset..<fieldOffset + 2, with: Self.big(pseudo))
    return networkHeader(length: length) + segment + payload
  }

  private func networkHeader(length: Int) -> [UInt8] {
    switch network {
    case .ipv4:
      var header: [UInt8] = [UInt8(0x40 + (20 + options.count) / 4), 0]
      header += Self.big(UInt16(20 + options.count + length)) + Self.big(identification) + [0x40, 0, 64, number, 0, 0]
      header += source + destination + options
      header.replaceSubrange(10..<12, with: Self.big(~Self.sum(header)))
      return header
    case .ipv6:
      return [0x60, 0, 0, 0] + Self.big(UInt16(options.count + length)) + [firstExtension ?? number, 64] + source
        + destination + options
    }
  }

  /// The header that asks for packets of `segmentSize` payload bytes, or for no more than the checksum.
  func header(segmentSize: Int?) -> OffloadHeader {
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.headerLength = UInt16(transportOffset + transportHeader)
    header.checksumStart = UInt16(transportOffset)
    header.checksumOffset = UInt16(fieldOffset)
    if let segmentSize {
      header.segmentSize = UInt16(segmentSize)
      header.segmentation = transport == .udp ? .udpL4 : network == .ipv4 ? .tcpv4 : .tcpv6
    }
    return header
  }

  /// Between two networks of unique local addresses.
  static func ipv6(_ transport: Transport) -> TestPacket {
    var packet = TestPacket(network: .ipv6, transport: transport)
    packet.source = bytes("fd01 0000 0000 0000 0000 0000 0000 0002")
    packet.destination = bytes("fd02 0000 0000 0000 0000 0000 0000 0002")
    return packet
  }
}
