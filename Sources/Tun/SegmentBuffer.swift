internal import SystemIO
internal import Wire

/// Memory for a part of a super-packet: headers for the part, and some of the segments. The result equals that of
/// Linux's own segmentation (`tcp_gso_segment`, `__udp_gso_segment`), in however many steps a super-packet is split.
/// For one thread at a time.
struct SegmentBuffer: ~Copyable {
  /// Bytes before the packet: room for an offload header, with the packet aligned.
  private static let front = 16
  private let memory = RawBuffer(count: front + PacketLayout.maximumLength)

  /// Room for the longest packet.
  var packet: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory.bytes[Self.front...]) }

  /// The first `length` bytes of the packet behind `header`, as one piece of memory.
  borrowing func record(_ length: Int, behind header: OffloadHeader) -> UnsafeRawBufferPointer {
    let start = Self.front - OffloadHeader.size
    let record = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[start..<Self.front + length])
    header.write(to: record)
    return UnsafeRawBufferPointer(record)
  }

  /// Makes the part with the bytes `payload`, counted from the end of the headers in `packet`; they begin a segment.
  /// Leaves out the transport checksum. Returns the part's length.
  borrowing func put(
    _ payload: Range<Int>, of packet: RawSpan, _ layout: PacketLayout, _ cut: PacketLayout.Cut
  ) -> Int {
    let (headers, offset) = (cut.headers, cut.transportHeader)
    let length = headers + payload.count
    copy(packet.extracting(0..<headers), to: 0)
    copy(packet.extracting(headers + payload.lowerBound..<headers + payload.upperBound), to: headers)
    if layout.isIPv4 {
      store(word: UInt16(length), at: 2)
      // Linux counts the identification even where packets may not be fragmented (RFC 6864 does not demand it).
      store(word: packet.word(4) &+ UInt16(payload.lowerBound / cut.segmentSize), at: 4)
      store(word: 0, at: 10)
      var checksum = InternetChecksum()
      checksum.add(self.packet.bytes.extracting(0..<layout.networkHeader))
      store(word: checksum.value, at: 10)
    } else {
      store(word: UInt16(length - 40), at: 4)
    }
    switch cut.transport {
    case .tcp:
      store(doubleWord: packet.doubleWord(offset + 4) &+ UInt32(payload.lowerBound), at: offset + 4)
      self.packet[offset + 13] = Self.flags(
        packet.byte(offset + 13), isFirst: payload.lowerBound == 0,
        isLast: headers + payload.upperBound == packet.byteCount)
    case .udp:
      store(word: UInt16(length - offset), at: offset + 4)
    }
    return length
  }

  /// The sum of the pseudo-header without the length (RFC 9293, section 3.1; RFC 8200, section 8.1).
  static func pseudoHeader(
    of packet: RawSpan, isIPv4: Bool, _ transport: PacketLayout.Transport
  ) -> InternetChecksum {
    var checksum = InternetChecksum()
    checksum.add(packet.extracting(isIPv4 ? 12..<20 : 8..<40))
    checksum.add(UInt16(transport.number))
    return checksum
  }

  /// FIN and PSH belong to the last part, CWR to the first.
  private static func flags(_ flags: UInt8, isFirst: Bool, isLast: Bool) -> UInt8 {
    let fin: UInt8 = 0x01
    let push: UInt8 = 0x08
    let windowReduced: UInt8 = 0x80
    return flags & ~(isFirst ? 0 : windowReduced) & ~(isLast ? 0 : fin | push)
  }

  // MARK: Bytes

  borrowing func copy(_ bytes: RawSpan, to offset: Int) {
    let packet = packet
    precondition(offset + bytes.byteCount <= packet.count)
    let target = UnsafeMutableRawBufferPointer(rebasing: packet[offset..<offset + bytes.byteCount])
    bytes.withUnsafeBytes { target.copyMemory(from: $0) }
  }

  borrowing func store(word: UInt16, at offset: Int) {
    let packet = packet
    precondition(offset + 2 <= packet.count)
    packet.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  private borrowing func store(doubleWord: UInt32, at offset: Int) {
    let packet = packet
    precondition(offset + 4 <= packet.count)
    packet.storeBytes(of: doubleWord.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}
