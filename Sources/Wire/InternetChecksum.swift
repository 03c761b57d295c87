/// The checksum of IPv4, TCP, UDP and ICMP: the ones' complement of the ones' complement sum of 16-bit words (RFC
/// 1071).
///
/// Pieces may be added one after another, of odd lengths too: the result is that of all bytes in a row.
public struct InternetChecksum: Sendable {
  // Summed in the host's byte order, which RFC 1071, section 2 (B), allows: the sum of swapped words is the swapped
  // sum.
  private var sum: UInt64 = 0
  private var isOdd = false

  public init() {}

  public mutating func add(_ bytes: RawSpan) {
    let piece = bytes.withUnsafeBytes(Self.sum)
    sum += UInt64(isOdd ? piece.byteSwapped : piece)
    if bytes.byteCount & 1 == 1 { isOdd.toggle() }
  }

  /// Adds a number as the two bytes it takes in network byte order.
  public mutating func add(_ word: UInt16) {
    let piece = word.bigEndian
    sum += UInt64(isOdd ? piece.byteSwapped : piece)
  }

  /// The checksum as a number, to be stored in network byte order. Over a packet whose checksum is right it is zero.
  public var value: UInt16 {
    ~UInt16(bigEndian: Self.folded(sum))
  }

  private static func sum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
    var sum: UInt64 = 0
    var offset = 0
    while offset &+ 8 <= bytes.count {
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      // Two halves, so that nothing is carried out of 64 bits: that takes 2^32 additions.
      sum &+= (word & 0xFFFF_FFFF) &+ (word >> 32)
      offset &+= 8
    }
    while offset &+ 2 <= bytes.count {
      sum &+= UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      offset &+= 2
    }
    if offset < bytes.count {
      // The byte missing at the end counts as zero.
      sum &+= UInt64((UInt16(bytes[offset]) << 8).bigEndian)
    }
    return folded(sum)
  }

  private static func folded(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
    return UInt16(sum)
  }
}
