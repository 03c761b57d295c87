import Testing
import Wire

@Suite struct OffloadHeaderTests {
  @Test func `a header is written as virtio lays it out`() {
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.segmentation = .tcpv4
    header.headerLength = 0x0102
    header.segmentSize = 0x0304
    header.checksumStart = 0x0506
    header.checksumOffset = 0x0708
    var bytes = [UInt8](repeating: 0xEE, count: OffloadHeader.size + 1)
    bytes.withUnsafeMutableBytes(header.write)
    #expect(bytes == [1, 1, 2, 1, 4, 3, 6, 5, 8, 7, 0xEE])
    #expect(OffloadHeader(parsing: bytes.span.bytes) == header)
  }

  @Test func `a header cut short is no header`() {
    for count in 0..<OffloadHeader.size {
      #expect(OffloadHeader(parsing: [UInt8](repeating: 0, count: count).span.bytes) == nil)
    }
  }

  @Test func `ten zero bytes stand for a plain packet`() {
    #expect(OffloadHeader(parsing: [UInt8](repeating: 0, count: 10).span.bytes) == OffloadHeader())
  }

  @Test func `the ECN bit is beside the kind of segmentation`() {
    #expect(OffloadHeader.Segmentation(rawValue: 0x81).kind == .tcpv4)
    #expect(OffloadHeader.Segmentation(rawValue: 0x84).kind == .tcpv6)
  }
}
