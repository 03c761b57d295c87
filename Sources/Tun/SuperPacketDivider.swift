// On a slow path, super-packets are divided into parts of 4 ms, because nothing overtakes a frame in transmission. Only
// the sending device can divide them, since the payload is encrypted end to end.

internal import Wire

/// Divides super-packets into smaller ones, for a slow path on which a whole one would delay all other frames.
///
/// A part is a super-packet of as many whole segments as the limit allows; a single segment is a plain packet with a
/// partial checksum, as Linux writes it to a TUN. The parts give the same packets as the whole, by
/// `SuperPacketSplitter` or the kernel. Allocates nothing per packet. For one thread at a time.
public struct SuperPacketDivider: ~Copyable {
  private let buffer = SegmentBuffer()

  public init() {}

  /// Calls `emit` with each part of `record` (an `OffloadHeader` and a packet, as read from a `PacketDevice`), in
  /// order, each again an `OffloadHeader` and a packet. A part's packet has at most `limit` bytes, unless a single
  /// segment with its headers is longer. The bytes are valid until `emit` returns.
  ///
  /// The input may be anything. False: nothing was emitted, because the record is no super-packet, is no longer than
  /// `limit` or one segment, is inconsistent, or has a complete checksum, which parts could not keep.
  public borrowing func divide(
    _ record: UnsafeRawBufferPointer, limit: Int, _ emit: (UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    guard record.count - OffloadHeader.size > limit, let header = OffloadHeader(parsing: record.bytes),
      header.segmentation != .none
    else { return false }
    let packet = record.bytes.extracting(OffloadHeader.size..<record.count)
    guard let layout = PacketLayout(of: packet, with: header), !layout.needsSoftware,
      case .segment(let cut) = layout.work, packet.byteCount - cut.headers > cut.segmentSize
    else { return false }
    divide(packet, layout, cut, limit, emit)
    return true
  }

  private borrowing func divide(
    _ packet: RawSpan, _ layout: PacketLayout, _ cut: PacketLayout.Cut, _ limit: Int,
    _ emit: (UnsafeRawBufferPointer) -> Void
  ) {
    let room = limit > cut.headers ? limit - cut.headers : 0
    let most = max(1, room / cut.segmentSize) * cut.segmentSize
    let pseudoHeader = SegmentBuffer.pseudoHeader(of: packet, isIPv4: layout.isIPv4, cut.transport)
    let payload = packet.byteCount - cut.headers
    var done = 0
    while done < payload {
      let count = min(most, payload - done)
      let length = buffer.put(done..<done + count, of: packet, layout, cut)
      // Whoever splits the part completes the checksum.
      var checksum = pseudoHeader
      checksum.add(UInt16(length - cut.transportHeader))
      buffer.store(word: ~checksum.value, at: cut.transportHeader + cut.transport.checksumOffset)
      var header = layout.header
      if count <= cut.segmentSize {
        header.segmentation = .none
        header.segmentSize = 0
      } else if done > 0 {
        // Without the bit for the flag CWR, which only the first part keeps.
        header.segmentation = header.segmentation.kind
      }
      emit(buffer.record(length, behind: header))
      done += count
    }
  }
}
