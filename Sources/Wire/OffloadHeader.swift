// The offload header is little-endian on the wire, unlike everything else: it travels as the kernel gives and takes it,
// and the receiver checks it.

/// The header before every packet, on the TUN and on the wire: what the next sender still has to do to the packet.
///
/// Ten bytes, little-endian, as `struct virtio_net_hdr` (virtio 1.2, section 5.1.6; the kernel's `linux/virtio_net.h`):
///
///     0       1              2               4              6                8                 10
///     | flags | segmentation | headerLength  | segmentSize  | checksumStart  | checksumOffset  | packet
///
/// All zero is a plain, complete packet. Any ten bytes parse: before acting on them, check that they agree with the
/// packet behind them.
public struct OffloadHeader: Sendable, Equatable {
  /// In bytes.
  public static let size = 10

  /// The transport checksum is partial: it must be completed, see `checksumStart`.
  public static let needsChecksum: UInt8 = 1
  /// The transport checksum was found right.
  public static let dataValid: UInt8 = 2

  /// How a super-packet is cut into packets.
  public struct Segmentation: RawRepresentable, Sendable, Equatable {
    public var rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Not at all.
    public static let none = Segmentation(rawValue: 0)
    public static let tcpv4 = Segmentation(rawValue: 1)
    public static let tcpv6 = Segmentation(rawValue: 4)
    /// Into UDP datagrams of `segmentSize` payload bytes, IPv4 or IPv6.
    public static let udpL4 = Segmentation(rawValue: 5)
    /// May stand beside either TCP kind: the segment has explicit congestion notification bits.
    public static let ecnBit: UInt8 = 0x80

    /// The kind, without the ECN bit.
    public var kind: Segmentation { Segmentation(rawValue: rawValue & ~Self.ecnBit) }
  }

  /// `needsChecksum`, `dataValid`, or both; other bits are ignored.
  public var flags: UInt8 = 0
  public var segmentation = Segmentation.none
  /// Bytes from the start of the packet to its payload. A hint: the kernel does not always fill it in well.
  public var headerLength: UInt16 = 0
  /// Payload bytes a segment, except that the last may be shorter.
  public var segmentSize: UInt16 = 0
  /// Where the checksummed part begins, bytes from the start of the packet; it reaches to the end of the packet.
  public var checksumStart: UInt16 = 0
  /// Where the checksum stands, bytes from `checksumStart`. There it holds the pseudo-header's sum, not inverted.
  public var checksumOffset: UInt16 = 0

  /// The header of a plain packet.
  public init() {}

  /// Reads the header that `bytes` starts with; `nil` if there are fewer than ten bytes.
  public init?(parsing bytes: RawSpan) {
    guard bytes.byteCount >= Self.size else { return nil }
    func field(_ offset: Int) -> UInt16 {
      UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    flags = bytes.byte(0)
    segmentation = Segmentation(rawValue: bytes.byte(1))
    headerLength = field(2)
    segmentSize = field(4)
    checksumStart = field(6)
    checksumOffset = field(8)
  }

  /// Writes the header to the first ten bytes of `buffer`.
  public func write(to buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count >= Self.size)
    buffer[0] = flags
    buffer[1] = segmentation.rawValue
    buffer.storeBytes(of: headerLength.littleEndian, toByteOffset: 2, as: UInt16.self)
    buffer.storeBytes(of: segmentSize.littleEndian, toByteOffset: 4, as: UInt16.self)
    buffer.storeBytes(of: checksumStart.littleEndian, toByteOffset: 6, as: UInt16.self)
    buffer.storeBytes(of: checksumOffset.littleEndian, toByteOffset: 8, as: UInt16.self)
  }
}
