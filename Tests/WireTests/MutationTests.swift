import TestSupport
import Testing
import Wire

/// Good bytes with random damage: nothing that comes from the network may trap. The same damage in every run.
@Suite struct MutationTests {
  private static let rounds = 20_000
  private static let here = IPv4Address(bits: 0x0A00_0002)
  private static let there = IPv4Address(bits: 0x0A00_0003)

  private static let seeds: [[UInt8]] =
    ControlMessageTests.examples.map { $0.message.frame() }
    + [
      frameBytes(.data, [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 9], address: IPv4Address(bits: 0x0A00_0002), flow: 7),
      frameBytes(.ping, [1, 2, 3, 4, 5, 6, 7, 8]),
      IPPacketTests.V4().bytes, IPPacketTests.V4(fragment: 0x2000, options: 8).bytes,
      segment(from: here, to: there, options: timestamps(), payload: 10),
      segment(from: here, to: there, options: timestamps()),
      [0x60, 0, 0, 0, 0, 4, 17, 64] + [UInt8](repeating: 0xFD, count: 32) + [1, 2, 3, 4],
    ]

  private static func mutate(_ seed: [UInt8], _ random: inout FixedRandom) -> [UInt8] {
    var bytes = seed
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let place = Int.random(in: 0...bytes.count, using: &random)
      switch Int.random(in: 0..<7, using: &random) {
      case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 2: bytes.removeSubrange(place...)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
      case 4 where place < bytes.count:
        bytes[place] = [0, 0xFF, 0x7F, 0x80, UInt8(ascii: "\""), UInt8(ascii: "{")].randomElement(using: &random)!
      case 5 where place < bytes.count:
        let end = Int.random(in: place...bytes.count, using: &random)
        bytes.insert(contentsOf: bytes[place..<end], at: place)
      default:
        let other = seeds.randomElement(using: &random)!
        bytes.replaceSubrange(place..., with: other.dropFirst(min(place, other.count)))
      }
    }
    return bytes
  }

  @Test func `no bytes make a parser trap, and what is read lies within them`() {
    var random = FixedRandom(seed: 1)
    var read = 0
    for round in 0..<Self.rounds {
      let bytes = Self.mutate(Self.seeds[round % Self.seeds.count], &random)
      bytes.withUnsafeBytes { bytes in
        var offset = 0
        while case .frame(let header)? = try? FrameScan(bytes.bytes, at: offset) {
          #expect(header.length <= header.type.maximumPayload && offset + header.frameSize <= bytes.count)
          let payload = UnsafeRawBufferPointer(
            rebasing: bytes[offset + FrameHeader.size..<offset + header.frameSize])
          _ = try? ControlMessage.decode(payload)
          Self.readRecords(payload)
          offset += header.frameSize
          read += 1
        }
        Self.readRecords(bytes)
        Self.look(bytes)
        _ = try? ControlMessage.decode(bytes)
        if bytes.count > FrameHeader.size {
          _ = try? ControlMessage.decode(UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.size...]))
        }
      }
    }
    // Damage that leaves nothing to read would test nothing.
    #expect(read > Self.rounds / 20)
  }

  @Test func `a damaged message that is still read says the same again`() throws {
    var random = FixedRandom(seed: 2)
    var read = 0
    for round in 0..<Self.rounds {
      let example = ControlMessageTests.examples[round % ControlMessageTests.examples.count]
      let bytes = Self.mutate(Array(example.json.utf8), &random)
      let message = try? bytes.withUnsafeBytes { try ControlMessage.decode($0) }
      // A message of ours has no longer texts than what a frame holds, as these.
      guard let message else { continue }
      let again = try Array(message.frame().dropFirst(FrameHeader.size)).withUnsafeBytes {
        try ControlMessage.decode($0)
      }
      #expect(again == message)
      read += 1
    }
    #expect(read > Self.rounds / 100)
  }

  private static func readRecords(_ payload: UnsafeRawBufferPointer) {
    var offset = 0
    while offset < payload.count, let range = try? PacketRecord.range(in: payload.bytes, at: offset) {
      #expect(range.lowerBound == offset + 4 && range.upperBound <= payload.count && !range.isEmpty)
      look(UnsafeRawBufferPointer(rebasing: payload[range]))
      offset = range.upperBound
    }
  }

  private static func look(_ packet: UnsafeRawBufferPointer) {
    guard let peek = IPPeek(packet.bytes) else { return }
    if case .ipv4(let peek) = peek { #expect(peek.headerLength >= 20 && peek.headerLength <= packet.count) }
    if let segment = TCPPeek(packet.bytes, peek) { #expect((0...packet.count - 40).contains(segment.payloadLength)) }
    if PureACK(packet.bytes) != nil { #expect(packet.count >= 40) }
  }
}
