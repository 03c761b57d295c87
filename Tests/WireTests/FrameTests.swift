import TestSupport
import Testing
import Wire

@Suite struct FrameTests {
  private static func parse(_ bytes: [UInt8], at offset: Int = 0) throws -> FrameHeader {
    try bytes.withUnsafeBytes { try FrameHeader(parsing: $0.bytes, at: offset) }
  }

  private static func scan(_ bytes: some Sequence<UInt8>, at offset: Int = 0) throws -> FrameScan {
    try Array(bytes).withUnsafeBytes { try FrameScan($0.bytes, at: offset) }
  }

  @Test func `a header's twelve bytes stand as the protocol says`() {
    var bytes = [UInt8](repeating: 0xEE, count: 14)
    bytes.withUnsafeMutableBytes {
      FrameHeader(type: .data, length: 0x01_0203, address: IPv4Address(bits: 0x0A0B_0C0D), flow: 0xF00D).write(to: $0)
    }
    #expect(bytes == [3, 0x01, 0x02, 0x03, 0x0A, 0x0B, 0x0C, 0x0D, 0xF0, 0x0D, 0, 0, 0xEE, 0xEE])
  }

  @Test func `a header reads as the protocol says`() throws {
    let header = try Self.parse([9, 2, 0, 0, 64, 255, 255, 255, 254, 0x12, 0x34, 0, 0], at: 1)
    #expect(header == FrameHeader(type: .control, length: 64, address: IPv4Address(bits: 0xFFFF_FFFE), flow: 0x1234))
    #expect(header.frameSize == 76)
  }

  @Test func `the numbers of the protocol stay what they are`() {
    #expect([FrameType.handshake, .control, .data, .peerHandshake, .ping, .pong].map(\.rawValue) == Array(1...6))
    #expect(FrameType.handshake.maximumPayload == 8192)
    #expect(FrameType.control.maximumPayload == 131_072)
    #expect(FrameType.data.maximumPayload == 131_072)
    #expect(FrameType.ping.maximumPayload == 64)
    #expect(FrameType.pong.maximumPayload == 64)
    #expect(FrameHeader.size == 12)
    #expect(FrameHeader.maximumFrame == 131_084)
  }

  @Test(arguments: [FrameType.handshake, .control, .data, .peerHandshake, .ping, .pong])
  func `a payload of the longest length is read, and a longer one refused`(type: FrameType) throws {
    for length in [0, 1, type.maximumPayload - 1, type.maximumPayload] {
      let header = FrameHeader(type: type, length: length, address: IPv4Address(bits: .max), flow: .max)
      var bytes = [UInt8](repeating: 0, count: 12)
      bytes.withUnsafeMutableBytes { header.write(to: $0) }
      #expect(try Self.parse(bytes) == header)
    }
    for length in [type.maximumPayload + 1, 0xFF_FFFF] {
      let bytes =
        [type.rawValue, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)]
        + [UInt8](repeating: 0, count: 8)
      #expect(throws: WireError.oversizedFrame(type, length)) { try Self.parse(bytes) }
    }
  }

  @Test func `every type that is not known is refused`() {
    let known: Set<UInt8> = [1, 2, 3, 4, 5, 6]
    for type in UInt8.min...UInt8.max where !known.contains(type) {
      #expect(throws: WireError.unknownFrameType(type)) {
        try Self.parse([type] + [UInt8](repeating: 0, count: 11))
      }
    }
  }

  @Test func `every reserved bit that is set is refused`() {
    for bit in 0..<16 {
      var bytes = frameBytes(.data, [])
      bytes[10 + bit / 8] |= 1 << UInt8(bit % 8)
      #expect(throws: WireError.reservedBitsSet) { try Self.parse(bytes) }
    }
  }

  @Test func `an address is overwritten in place and nothing else`() throws {
    var bytes = frameBytes(.data, [1, 2, 3], address: IPv4Address(bits: 7), flow: 99)
    let before = bytes
    bytes.withUnsafeMutableBytes { FrameHeader.rewriteAddress(of: $0, to: IPv4Address(bits: 0xC0A8_0001)) }
    #expect(bytes[4..<8] == [0xC0, 0xA8, 0, 1])
    #expect(bytes[..<4] == before[..<4] && bytes[8...] == before[8...])
  }

  @Test func `a scan finds a whole frame or says how much is missing, at every split`() throws {
    let frame = frameBytes(.data, [UInt8](repeating: 1, count: 40), flow: 3)
    let next = frameBytes(.ping, [1])
    let stream = frame + next
    for end in 0...stream.count {
      let expected: FrameScan =
        switch end {
        case ..<12: .partial(needed: 12)
        case ..<frame.count: .partial(needed: frame.count)
        default: .frame(FrameHeader(type: .data, length: 40, flow: 3))
        }
      #expect(try Self.scan(stream[..<end]) == expected)
      guard end >= frame.count else { continue }
      let second: FrameScan =
        switch end - frame.count {
        case ..<12: .partial(needed: 12)
        case 12: .partial(needed: 13)
        default: .frame(FrameHeader(type: .ping, length: 1))
        }
      #expect(try Self.scan(stream[..<end], at: frame.count) == second)
    }
  }

  @Test func `a scan judges a header as soon as it is whole`() throws {
    let bad: [UInt8] = [77] + [UInt8](repeating: 0, count: 11)
    for end in 0..<12 { #expect(try Self.scan(bad[..<end]) == .partial(needed: 12)) }
    #expect(throws: WireError.unknownFrameType(77)) { try Self.scan(bad) }
  }

  @Test func `errors say what was wrong`() {
    #expect(WireError.unknownFrameType(9).description == "a frame of the unknown type 9")
    #expect(
      WireError.oversizedFrame(.ping, 65).description == "a ping frame of 65 bytes, more than the 64 it may have")
    #expect(WireError.badMessage("x").description.hasSuffix(": x"))
  }
}

@Suite struct PacketRecordTests {
  private static func range(_ bytes: [UInt8], at offset: Int = 0) throws -> Range<Int> {
    try bytes.withUnsafeBytes { try PacketRecord.range(in: $0.bytes, at: offset) }
  }

  @Test func `a prefix is the length in network byte order`() {
    var bytes = [UInt8](repeating: 0xEE, count: 5)
    bytes.withUnsafeMutableBytes { PacketRecord.writePrefix(length: 0x01_0203, to: $0) }
    #expect(bytes == [0, 1, 2, 3, 0xEE])
  }

  @Test func `records follow each other to the payload's end`() throws {
    let payload: [UInt8] = [0, 0, 0, 2, 8, 9, 0, 0, 0, 1, 7]
    #expect(try Self.range(payload) == 4..<6)
    #expect(try Self.range(payload, at: 6) == 10..<11)
  }

  @Test func `a record cut anywhere is refused`() throws {
    let payload: [UInt8] = [0, 0, 0, 5, 1, 2, 3, 4, 5]
    for end in 0..<payload.count {
      #expect(throws: WireError.badPacketRecord) { try Self.range(Array(payload[..<end])) }
    }
    #expect(try Self.range(payload) == 4..<9)
    #expect(throws: WireError.badPacketRecord) { try Self.range(payload, at: payload.count) }
  }

  @Test(
    arguments: [
      [0, 0, 0, 0], [0, 0, 0, 0, 1], [255, 255, 255, 255, 1], [128, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 0, 2, 1],
    ] as [[UInt8]])
  func `a length of nothing or of more than there is is refused`(payload: [UInt8]) {
    #expect(throws: WireError.badPacketRecord) { try Self.range(payload) }
  }
}
