import CTestSupport
import SystemIO
import Testing
import Tun
import Wire

/// Cutting makes nothing per packet. Only optimised code keeps this promise.
@Suite(.enabled(if: !isDebugBuild && ctest_counts_allocations())) struct AllocationTests {
  @Test func `ten thousand super-packets are divided, and their parts split, without an allocation`() throws {
    let divider = SuperPacketDivider()
    let splitter = SuperPacketSplitter()
    var packet = TestPacket(payload: TestPacket.payload(count: 60_000))
    packet.transportOptions = bytes("0101080a 11111111 22222222")
    let content = packet.packet
    let record = RawBuffer(count: OffloadHeader.size + content.count)
    packet.header(segmentSize: 1348).write(to: record.bytes)
    UnsafeMutableRawBufferPointer(rebasing: record.bytes[OffloadHeader.size...]).copyBytes(from: content)
    var parts = 0
    var segments = 0
    func work(_ rounds: Int) {
      for _ in 0..<rounds {
        _ = divider.divide(UnsafeRawBufferPointer(record.bytes), limit: 8000) { part in
          parts += 1
          guard let header = OffloadHeader(parsing: part.bytes) else { return }
          _ = splitter.split(part.bytes.extracting(OffloadHeader.size..<part.count), with: header) { _ in segments += 1
          }
        }
      }
    }
    work(10)
    let before = ctest_allocations()
    work(10_000)
    let count = ctest_allocations() - before
    #expect(count == 0)
    #expect(parts == 10_010 * 9)
    #expect(segments == 10_010 * 45)
  }
}

private let isDebugBuild = _isDebugAssertConfiguration()
