internal import Wire

/// Where the parts of a packet lie, and what its `OffloadHeader` asks for. Only this check decides whether a packet
/// from the network is accepted. All offsets are bytes from the start of the packet, and lie inside it. Refused are:
///
/// - anything but IPv4 or IPv6, and a length in the IP header that is not the packet's;
/// - flags and segmentation kinds that this version does not know;
/// - a partial checksum that is not wholly behind the IP header;
/// - a super-packet of another protocol than its header says, a fragment, an IPv4 header with a wrong checksum, a
///   segment size of zero, too many packets, or too large headers.
struct PacketLayout {
  enum Transport {
    case tcp, udp

    /// The protocol number in IPv4's and IPv6's headers.
    var number: UInt8 { self == .tcp ? 6 : 17 }
    /// Where the checksum stands in the transport header.
    var checksumOffset: Int { self == .tcp ? 16 : 6 }
  }

  enum Work {
    /// The packet is complete.
    case nothing
    /// Sum the bytes from `start` on and store the checksum at `field`.
    case checksum(start: Int, field: Int)
    case segment(Cut)
  }

  /// Split a super-packet at every `segmentSize` bytes of payload, which begins after the first `headers` bytes.
  struct Cut {
    let transport: Transport
    let transportHeader: Int
    let headers: Int
    let segmentSize: Int
  }

  /// The longest packet: an IPv6 header and the most that its length field can state.
  static let maximumLength = 40 + 65_535

  /// Linux makes no TCP segments below 48 bytes (`net.ipv4.tcp_min_snd_mss`), and at most 128 UDP segments. A hostile
  /// peer must not make this host write 65 thousand packets for one.
  static let maximumSegments = 2048

  /// The limit of IPv6 extension headers in bytes: every segment repeats them.
  static let maximumExtensions = 256

  let isIPv4: Bool
  /// Bytes of the IP header, without IPv6's extension headers.
  let networkHeader: Int
  let work: Work
  private let segmentation: OffloadHeader.Segmentation
  private let isPartial: Bool

  init?(of packet: RawSpan, with header: OffloadHeader) {
    let count = packet.byteCount
    guard count >= 20, count <= Self.maximumLength, Int(header.headerLength) <= count,
      header.flags & ~(OffloadHeader.needsChecksum | OffloadHeader.dataValid) == 0
    else { return nil }

    switch packet.byte(0) >> 4 {
    case 4:
      isIPv4 = true
      networkHeader = Int(packet.byte(0) & 15) * 4
      guard networkHeader >= 20, networkHeader <= count, Int(packet.word(2)) == count else { return nil }
    case 6:
      isIPv4 = false
      networkHeader = 40
      guard count >= 40, 40 + Int(packet.word(4)) == count else { return nil }
    default:
      return nil
    }

    isPartial = header.flags & OffloadHeader.needsChecksum != 0
    segmentation = header.segmentation
    let start = Int(header.checksumStart)
    let field = start + Int(header.checksumOffset)
    if isPartial {
      guard start >= networkHeader, field + 2 <= count else { return nil }
    }
    if segmentation == .none {
      work = isPartial ? .checksum(start: start, field: field) : .nothing
      return
    }

    let transport: Transport
    switch (segmentation.kind, isIPv4) {
    case (.tcpv4, true), (.tcpv6, false): transport = .tcp
    case (.udpL4, _) where segmentation == .udpL4: transport = .udp
    default: return nil
    }
    let size = Int(header.segmentSize)
    guard size > 0,
      let offset = isIPv4
        ? Self.transportOffsetIPv4(packet, networkHeader, transport)
        : Self.transportOffsetIPv6(packet, transport),
      let headers = Self.endOfHeaders(packet, transport, at: offset),
      !isPartial || (start == offset && field == offset + transport.checksumOffset),
      (count - headers + size - 1) / size <= Self.maximumSegments
    else { return nil }
    work = .segment(Cut(transport: transport, transportHeader: offset, headers: headers, segmentSize: size))
  }

  /// Whether not every kernel takes it: virtio 1.2, section 5.1.6.2, demands a partial checksum of a super-packet,
  /// although kernels may give others.
  var needsSoftware: Bool {
    if case .segment = work { return !isPartial }
    return false
  }

  /// Whether it is a UDP super-packet, which Linux supports since 6.2.
  var isUDPSegmentation: Bool {
    if case .segment(let cut) = work { return cut.transport == .udp }
    return false
  }

  /// A new header of checked values alone.
  var header: OffloadHeader {
    var header = OffloadHeader()
    switch work {
    case .nothing:
      break
    case .checksum(let start, let field):
      header.flags = OffloadHeader.needsChecksum
      header.headerLength = UInt16(clamping: field + 2)
      header.checksumStart = UInt16(clamping: start)
      header.checksumOffset = UInt16(clamping: field - start)
    case .segment(let cut):
      header.flags = OffloadHeader.needsChecksum
      header.segmentation = segmentation
      header.headerLength = UInt16(clamping: cut.headers)
      header.segmentSize = UInt16(clamping: cut.segmentSize)
      header.checksumStart = UInt16(clamping: cut.transportHeader)
      header.checksumOffset = UInt16(clamping: cut.transport.checksumOffset)
    }
    return header
  }

  private static func transportOffsetIPv4(_ packet: RawSpan, _ length: Int, _ transport: Transport) -> Int? {
    var checksum = InternetChecksum()
    checksum.add(packet.extracting(0..<length))
    // The second condition: neither "more fragments" nor an offset.
    guard checksum.value == 0, packet.word(6) & 0x3FFF == 0, packet.byte(9) == transport.number else { return nil }
    return length
  }

  /// Skips the extension headers (RFC 8200, section 4) that every segment can repeat. A routing header cannot be: it
  /// gives the pseudo-header another destination than the packet's.
  private static func transportOffsetIPv6(_ packet: RawSpan, _ transport: Transport) -> Int? {
    let hopByHop: UInt8 = 0
    let destinationOptions: UInt8 = 60
    var next = packet.byte(6)
    var offset = 40
    while next != transport.number {
      guard next == hopByHop && offset == 40 || next == destinationOptions, offset + 8 <= packet.byteCount else {
        return nil
      }
      next = packet.byte(offset)
      offset += (Int(packet.byte(offset + 1)) + 1) * 8
      guard offset - 40 <= maximumExtensions else { return nil }
    }
    return offset
  }

  private static func endOfHeaders(_ packet: RawSpan, _ transport: Transport, at offset: Int) -> Int? {
    let count = packet.byteCount
    switch transport {
    case .tcp:
      guard offset + 20 <= count else { return nil }
      let length = Int(packet.byte(offset + 12) >> 4) * 4
      guard length >= 20, offset + length <= count else { return nil }
      return offset + length
    case .udp:
      guard offset + 8 <= count, offset + Int(packet.word(offset + 4)) == count else { return nil }
      return offset + 8
    }
  }
}

extension RawSpan {
  func byte(_ offset: Int) -> UInt8 {
    unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// Two bytes in network byte order.
  func word(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// Four bytes in network byte order.
  func doubleWord(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
