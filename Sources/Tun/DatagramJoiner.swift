// The receiver joins datagrams, not the sender, since the datagrams of one frame go to the kernel in one call.

internal import SystemIO
internal import Wire

/// Joins successive UDP datagrams of one flow into a super-packet, which the kernel takes in one call and carries as
/// one to the socket.
///
/// The kernel, or `SuperPacketSplitter`, restores the datagrams, except for IPv4's identification, which counts from
/// the first one's. Allocates nothing per packet. For one thread at a time.
public struct DatagramJoiner: ~Copyable {
  /// The limit of every Linux with UDP super-packets (`UDP_MAX_SEGMENTS`, 64 before it was raised).
  private static let maximumDatagrams = 64
  /// In bytes; joining larger records gains little.
  private static let maximumRecord = 1600
  private static let udpHeader = 8
  /// Ports of tunnels (VXLAN, Geneve), whose super-packets Linux drops before 6.8.5.
  private static let tunnels: [UInt16] = [4789, 6081, 8472]

  private let buffer = SegmentBuffer()
  /// Bytes of the joined packet; 0: there is none.
  private var length = 0
  /// Bytes of payload of every datagram but the last.
  private var segmentSize = 0
  /// Bytes of the IP header.
  private var networkHeader = 0
  private var isIPv4 = true
  /// How many datagrams have been joined.
  public private(set) var count = 0
  private var isComplete = false

  public init() {}

  /// Begins with a copy of this record (an `OffloadHeader` and a packet); `take` must have left nothing. False: the
  /// record cannot be joined with others, and the caller writes it.
  public mutating func begin(with record: UnsafeRawBufferPointer) -> Bool {
    precondition(count == 0)
    guard let datagram = Datagram(record) else { return false }
    buffer.packet.copyMemory(from: datagram.packet)
    length = datagram.packet.count
    segmentSize = datagram.payload.count
    networkHeader = datagram.networkHeader
    isIPv4 = datagram.isIPv4
    count = 1
    isComplete = false
    return true
  }

  /// Adds a copy of this record. False: it is of another flow, or there is no room.
  public mutating func add(_ record: UnsafeRawBufferPointer) -> Bool {
    guard count > 0, !isComplete, count < Self.maximumDatagrams, let datagram = Datagram(record),
      datagram.networkHeader == networkHeader, datagram.payload.count <= segmentSize,
      length + datagram.payload.count <= 65_535, isOfSameFlow(datagram)
    else { return false }
    UnsafeMutableRawBufferPointer(rebasing: buffer.packet[length...]).copyMemory(from: datagram.payload)
    length += datagram.payload.count
    count += 1
    // Only the last one may be shorter.
    isComplete = datagram.payload.count < segmentSize
    return true
  }

  /// The joined record; its bytes are valid until the next `begin`. `nil` if there is none.
  public mutating func take() -> UnsafeRawBufferPointer? {
    guard count > 0 else { return nil }
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.headerLength = UInt16(networkHeader + Self.udpHeader)
    header.checksumStart = UInt16(networkHeader)
    header.checksumOffset = 6
    if count > 1 {
      header.segmentation = .udpL4
      header.segmentSize = UInt16(segmentSize)
      finishHeaders()
    }
    count = 0
    return buffer.record(length, behind: header)
  }

  /// Whether addresses, ports and all other fields are equal that a super-packet has once.
  private func isOfSameFlow(_ datagram: Datagram) -> Bool {
    let (first, other) = (buffer.packet.bytes, datagram.packet.bytes)
    func isSame(_ range: Range<Int>) -> Bool {
      range.allSatisfy { first.byte($0) == other.byte($0) }
    }
    // All but IPv4's length, identification and checksum, and IPv6's length.
    guard isSame(isIPv4 ? 6..<10 : 6..<40), isSame(0..<(isIPv4 ? 2 : 4)), !isIPv4 || isSame(12..<20) else {
      return false
    }
    return isSame(networkHeader..<networkHeader + 4)
  }

  private borrowing func finishHeaders() {
    if isIPv4 {
      buffer.store(word: UInt16(length), at: 2)
      buffer.store(word: 0, at: 10)
      var checksum = InternetChecksum()
      checksum.add(buffer.packet.bytes.extracting(0..<networkHeader))
      buffer.store(word: checksum.value, at: 10)
    } else {
      buffer.store(word: UInt16(length - networkHeader), at: 4)
    }
    let datagrams = length - networkHeader
    buffer.store(word: UInt16(datagrams), at: networkHeader + 4)
    var checksum = SegmentBuffer.pseudoHeader(of: buffer.packet.bytes, isIPv4: isIPv4, .udp)
    checksum.add(UInt16(datagrams))
    // Whoever splits the packet completes the checksum.
    buffer.store(word: ~checksum.value, at: networkHeader + PacketLayout.Transport.udp.checksumOffset)
  }

  /// A record of a single whole UDP datagram with a partial checksum, without options or extensions.
  private struct Datagram {
    let packet: UnsafeRawBufferPointer
    let payload: UnsafeRawBufferPointer
    let networkHeader: Int
    let isIPv4: Bool

    init?(_ record: UnsafeRawBufferPointer) {
      guard record.count <= maximumRecord, let header = OffloadHeader(parsing: record.bytes),
        header.flags == OffloadHeader.needsChecksum, header.segmentation == .none
      else { return nil }
      packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
      guard let layout = PacketLayout(of: packet.bytes, with: header),
        case .checksum(let start, let field) = layout.work
      else { return nil }
      isIPv4 = layout.isIPv4
      networkHeader = layout.networkHeader
      let bytes = packet.bytes
      guard networkHeader == (isIPv4 ? 20 : 40), start == networkHeader, field == start + 6,
        bytes.byte(isIPv4 ? 9 : 6) == PacketLayout.Transport.udp.number,
        packet.count > networkHeader + udpHeader, Int(bytes.word(networkHeader + 4)) == packet.count - networkHeader,
        !tunnels.contains(bytes.word(networkHeader + 2))
      else { return nil }
      if isIPv4 {
        var checksum = InternetChecksum()
        checksum.add(bytes.extracting(0..<networkHeader))
        // Neither a fragment nor damaged: the joined packet gets a new checksum.
        guard bytes.word(6) & 0x3FFF == 0, checksum.value == 0 else { return nil }
      }
      payload = UnsafeRawBufferPointer(rebasing: packet[(networkHeader + udpHeader)...])
    }
  }
}
