internal import SystemIO
public import Wire

/// Does in software what a TUN without offloads leaves undone: cuts super-packets and completes checksums.
///
/// The packets that come out are what Linux's own segmentation makes of the same super-packet (`tcp_gso_segment`,
/// `__udp_gso_segment`, `skb_checksum_help`). Nothing is allocated for a packet. For one thread at a time.
public struct SuperPacketSplitter: ~Copyable {
  private let scratch = RawBuffer(count: PacketLayout.maximumLength)

  public init() {}

  /// Calls `emit` with each packet that `packet` stands for, in order; the bytes are valid until `emit` returns.
  ///
  /// The input may be anything. False: it is inconsistent, and nothing was emitted.
  public borrowing func split(_ packet: RawSpan, with header: OffloadHeader, _ emit: (RawSpan) -> Void) -> Bool {
    guard let layout = PacketLayout(of: packet, with: header) else { return false }
    split(packet, layout, emit)
    return true
  }

  /// The same for a packet that was checked already; `layout` must be this packet's.
  borrowing func split(_ packet: RawSpan, _ layout: PacketLayout, _ emit: (RawSpan) -> Void) {
    switch layout.work {
    case .nothing:
      emit(packet)
    case .checksum(let start, let field):
      complete(packet, from: start, at: field, emit)
    case .segment(let transport, let offset, let headers, let size):
      cut(packet, layout, transport, at: offset, behind: headers, every: size, emit)
    }
  }

  private borrowing func complete(_ packet: RawSpan, from start: Int, at field: Int, _ emit: (RawSpan) -> Void) {
    copy(packet, to: 0)
    var checksum = InternetChecksum()
    checksum.add(packet.extracting(start..<packet.byteCount))
    store(word: checksum.nonZeroValue, at: field)
    emit(scratch.bytes.bytes.extracting(0..<packet.byteCount))
  }

  private borrowing func cut(
    _ packet: RawSpan, _ layout: PacketLayout, _ transport: PacketLayout.Transport, at offset: Int, behind headers: Int,
    every size: Int, _ emit: (RawSpan) -> Void
  ) {
    let pseudoHeader = Self.pseudoHeader(packet, layout, transport)
    let payload = packet.byteCount - headers
    var done = 0
    var index: UInt16 = 0
    copy(packet.extracting(0..<headers), to: 0)
    // A super-packet without payload is one packet, too.
    repeat {
      let count = min(size, payload - done)
      let length = headers + count
      copy(packet.extracting(headers + done..<headers + done + count), to: headers)
      if layout.isIPv4 {
        // RFC 6864 asks for no identification where packets may not be fragmented, but Linux counts there, too.
        store(word: UInt16(length), at: 2)
        store(word: packet.word(4) &+ index, at: 4)
        store(word: 0, at: 10)
        var checksum = InternetChecksum()
        checksum.add(scratch.bytes.bytes.extracting(0..<layout.networkHeader))
        store(word: checksum.value, at: 10)
      } else {
        store(word: UInt16(length - 40), at: 4)
      }
      switch transport {
      case .tcp:
        store(doubleWord: packet.doubleWord(offset + 4) &+ UInt32(done), at: offset + 4)
        scratch.bytes[offset + 13] = Self.flags(
          packet.byte(offset + 13), isFirst: done == 0, isLast: done + count == payload)
      case .udp:
        store(word: UInt16(length - offset), at: offset + 4)
      }
      let field = offset + transport.checksumOffset
      store(word: 0, at: field)
      var checksum = pseudoHeader
      checksum.add(UInt16(length - offset))
      checksum.add(scratch.bytes.bytes.extracting(offset..<length))
      store(word: transport == .udp ? checksum.nonZeroValue : checksum.value, at: field)
      emit(scratch.bytes.bytes.extracting(0..<length))
      done += count
      index &+= 1
    } while done < payload
  }

  /// All but the length (RFC 9293, section 3.1; RFC 8200, section 8.1).
  private static func pseudoHeader(
    _ packet: RawSpan, _ layout: PacketLayout, _ transport: PacketLayout.Transport
  ) -> InternetChecksum {
    var checksum = InternetChecksum()
    checksum.add(packet.extracting(layout.isIPv4 ? 12..<20 : 8..<40))
    checksum.add(UInt16(transport.number))
    return checksum
  }

  /// The end of the stream and the push stand behind all the data, and "congestion window reduced" is said once.
  private static func flags(_ flags: UInt8, isFirst: Bool, isLast: Bool) -> UInt8 {
    let fin: UInt8 = 0x01
    let push: UInt8 = 0x08
    let windowReduced: UInt8 = 0x80
    return flags & ~(isFirst ? 0 : windowReduced) & ~(isLast ? 0 : fin | push)
  }

  // MARK: The scratch buffer

  private borrowing func copy(_ bytes: RawSpan, to offset: Int) {
    precondition(offset + bytes.byteCount <= scratch.count)
    let target = UnsafeMutableRawBufferPointer(rebasing: scratch.bytes[offset..<offset + bytes.byteCount])
    bytes.withUnsafeBytes { target.copyMemory(from: $0) }
  }

  private borrowing func store(word: UInt16, at offset: Int) {
    precondition(offset + 2 <= scratch.count)
    scratch.bytes.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  private borrowing func store(doubleWord: UInt32, at offset: Int) {
    precondition(offset + 4 <= scratch.count)
    scratch.bytes.storeBytes(of: doubleWord.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}

extension InternetChecksum {
  /// For UDP, where a zero says that there is no checksum (RFC 768). Everywhere else the two mean the same.
  fileprivate var nonZeroValue: UInt16 { value == 0 ? 0xFFFF : value }
}
