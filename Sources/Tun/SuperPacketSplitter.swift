public import Wire

/// Splits super-packets and completes checksums in software, for a TUN without offloads, with the same result as
/// Linux's own segmentation (`tcp_gso_segment`, `__udp_gso_segment`, `skb_checksum_help`). Allocates nothing per
/// packet. For one thread at a time.
public struct SuperPacketSplitter: ~Copyable {
  private let buffer = SegmentBuffer()

  public init() {}

  /// Calls `emit` with each packet of `packet`, in order; the bytes are valid until `emit` returns.
  ///
  /// The input may be anything. False: it is inconsistent, and nothing was emitted.
  public borrowing func split(_ packet: RawSpan, with header: OffloadHeader, _ emit: (RawSpan) -> Void) -> Bool {
    guard let layout = PacketLayout(of: packet, with: header) else { return false }
    split(packet, layout, emit)
    return true
  }

  /// The same with this packet's layout.
  borrowing func split(_ packet: RawSpan, _ layout: PacketLayout, _ emit: (RawSpan) -> Void) {
    switch layout.work {
    case .nothing:
      emit(packet)
    case .checksum(let start, let field):
      complete(packet, from: start, at: field, emit)
    case .segment(let cut):
      segment(packet, layout, cut, emit)
    }
  }

  private borrowing func complete(_ packet: RawSpan, from start: Int, at field: Int, _ emit: (RawSpan) -> Void) {
    buffer.copy(packet, to: 0)
    var checksum = InternetChecksum()
    checksum.add(packet.extracting(start..<packet.byteCount))
    buffer.store(word: checksum.nonZeroValue, at: field)
    emit(buffer.packet.bytes.extracting(0..<packet.byteCount))
  }

  private borrowing func segment(
    _ packet: RawSpan, _ layout: PacketLayout, _ cut: PacketLayout.Cut, _ emit: (RawSpan) -> Void
  ) {
    let pseudoHeader = SegmentBuffer.pseudoHeader(of: packet, isIPv4: layout.isIPv4, cut.transport)
    let offset = cut.transportHeader
    let payload = packet.byteCount - cut.headers
    var done = 0
    // A super-packet without payload is one packet, too.
    repeat {
      let count = min(cut.segmentSize, payload - done)
      let length = buffer.put(done..<done + count, of: packet, layout, cut)
      let field = offset + cut.transport.checksumOffset
      buffer.store(word: 0, at: field)
      var checksum = pseudoHeader
      checksum.add(UInt16(length - offset))
      checksum.add(buffer.packet.bytes.extracting(offset..<length))
      buffer.store(word: cut.transport == .udp ? checksum.nonZeroValue : checksum.value, at: field)
      emit(buffer.packet.bytes.extracting(0..<length))
      done += count
    } while done < payload
  }
}

extension InternetChecksum {
  /// For UDP, where zero means that there is no checksum (RFC 768). Elsewhere 0 and 0xFFFF mean the same.
  fileprivate var nonZeroValue: UInt16 { value == 0 ? 0xFFFF : value }
}
