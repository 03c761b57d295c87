import Testing
import Wire

@Suite struct InternetChecksumTests {
  /// RFC 1071, word for word.
  private func plain(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
      sum += index.isMultiple(of: 2) ? UInt32(byte) << 8 : UInt32(byte)
      sum = (sum & 0xFFFF) + (sum >> 16)
    }
    return ~UInt16(sum)
  }

  private let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }

  @Test func `the example of RFC 1071 comes out as printed`() {
    let example: [UInt8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]
    var checksum = InternetChecksum()
    checksum.add(example.span.bytes)
    #expect(checksum.value == ~0xddf2)
  }

  @Test func `every length from none to many is summed to the end`() {
    for count in Array(0...70) + [1399, 1400, 65_535, 70_000] {
      let piece = Array(bytes.prefix(count))
      var checksum = InternetChecksum()
      checksum.add(piece.span.bytes)
      #expect(checksum.value == plain(piece), "\(count) bytes")
    }
  }

  @Test func `the largest words do not overflow`() {
    let ones = [UInt8](repeating: 0xFF, count: 65_535)
    var checksum = InternetChecksum()
    checksum.add(ones.span.bytes)
    #expect(checksum.value == plain(ones))
  }

  @Test func `pieces of odd lengths add up to the whole`() {
    for first in 0...9 {
      for second in 0...9 {
        var checksum = InternetChecksum()
        checksum.add(Array(bytes[..<first]).span.bytes)
        checksum.add(Array(bytes[first..<first + second]).span.bytes)
        checksum.add(0x1234)
        checksum.add(Array(bytes[100..<133]).span.bytes)
        #expect(checksum.value == plain(bytes[..<(first + second)] + [0x12, 0x34] + bytes[100..<133]))
      }
    }
  }

  @Test func `the checksum of a packet with its checksum is zero`() {
    let header: [UInt8] = [
      0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00,
      0xc7,
    ]
    var checksum = InternetChecksum()
    checksum.add(header.span.bytes)
    #expect(checksum.value == 0)
  }
}
