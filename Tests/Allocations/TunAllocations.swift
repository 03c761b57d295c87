import SystemIO
import Tun
import Wire

/// Super-packets that are divided and split.
func tunChecks() -> [Check] {
  [Check(sentence: "ten thousand super-packets divided, and their parts split", work: superPackets(), rounds: 10_000)]
}

private func superPackets() -> (Int) throws -> Void {
  let divider = SuperPacketDivider()
  let splitter = SuperPacketSplitter()
  let packet = tcpPacket(payload: 60_000)
  let record = RawBuffer(count: OffloadHeader.size + packet.count)
  var header = OffloadHeader()
  header.flags = OffloadHeader.needsChecksum
  header.segmentation = .tcpv4
  header.headerLength = 52
  header.segmentSize = 1348
  header.checksumStart = 20
  header.checksumOffset = 16
  header.write(to: record.bytes)
  UnsafeMutableRawBufferPointer(rebasing: record.bytes[OffloadHeader.size...]).copyBytes(from: packet)
  // Boxes of the closures, so not made anew each time.
  var parts = 0
  var segments = 0
  return { rounds in
    (parts, segments) = (0, 0)
    for _ in 0..<rounds {
      _ = divider.divide(UnsafeRawBufferPointer(record.bytes), limit: 8000) { part in
        parts += 1
        guard let header = OffloadHeader(parsing: part.bytes) else { return }
        _ = splitter.split(part.bytes.extracting(OffloadHeader.size..<part.count), with: header) { _ in segments += 1 }
      }
    }
    try Broken.unless(
      parts == rounds * 9 && segments == rounds * 45, "\(parts) parts and \(segments) segments have come")
  }
}

/// From 10.1.0.2 to 10.2.0.2, with a timestamp as its only option, and its checksum left to whoever splits it.
private func tcpPacket(payload: Int) -> [UInt8] {
  let length = 52 + payload
  var packet: [UInt8] = [0x45, 0, UInt8(length >> 8), UInt8(length & 0xFF), 0x10, 0, 0x40, 0, 64, 6, 0, 0]
  packet += [10, 1, 0, 2, 10, 2, 0, 2]
  var checksum = InternetChecksum()
  checksum.add(packet.span.bytes)
  packet[10] = UInt8(checksum.value >> 8)
  packet[11] = UInt8(checksum.value & 0xFF)
  packet += [0x13, 0x88, 0x17, 0x70, 1, 2, 3, 4, 0, 0, 0, 77, 0x80, 0x18, 0x20, 0, 0, 0, 0, 0]
  packet += [1, 1, 8, 10, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22]
  return packet + [UInt8](repeating: 7, count: payload)
}
