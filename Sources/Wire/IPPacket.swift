/// The parts of an IPv4 header (RFC 791) that forwarding needs.
public struct IPv4Peek: Sendable, Equatable {
  public let source: IPv4Address
  public let destination: IPv4Address
  public let transport: UInt8
  /// Bytes before the transport's header, options included.
  public let headerLength: Int
  /// A hash of addresses, protocol and, where every packet of the flow has them, ports.
  public let flow: UInt16
}

/// The parts of an IPv6 header (RFC 8200) that forwarding needs.
public struct IPv6Peek: Sendable, Equatable {
  public let source: IPv6Address
  public let destination: IPv6Address
  /// The protocol behind the header, or the first extension header.
  public let nextHeader: UInt8
  /// A hash of addresses, next header and, where that is TCP's or UDP's, ports.
  public let flow: UInt16
}

/// The network header of a packet, read in place.
public enum IPPeek: Sendable, Equatable {
  case ipv4(IPv4Peek)
  case ipv6(IPv6Peek)

  public var flow: UInt16 {
    switch self {
    case .ipv4(let peek): peek.flow
    case .ipv6(let peek): peek.flow
    }
  }

  /// `nil` unless `packet` is a whole IP packet.
  public init?(_ packet: RawSpan) {
    guard packet.byteCount >= 1 else { return nil }
    if packet.byte(0) >> 4 == 4, let peek = IPv4Peek(packet) {
      self = .ipv4(peek)
    } else if packet.byte(0) >> 4 == 6, let peek = IPv6Peek(packet) {
      self = .ipv6(peek)
    } else {
      return nil
    }
  }
}

extension IPv4Peek {
  public static let minimumHeader = 20

  init?(_ packet: RawSpan) {
    guard packet.byteCount >= Self.minimumHeader else { return nil }
    headerLength = Int(packet.byte(0) & 15) * 4
    let totalLength = Int(packet.word16(2))
    guard headerLength >= Self.minimumHeader, totalLength >= headerLength, totalLength <= packet.byteCount else {
      return nil
    }
    transport = packet.byte(9)
    source = IPv4Address(bits: packet.word32(12))
    destination = IPv4Address(bits: packet.word32(16))
    let ports = packet.isIPv4Fragment ? 0 : packet.ports(transport, at: headerLength, end: totalLength)
    flow = foldFlow(UInt64(source.bits) << 32 | UInt64(destination.bits), UInt64(ports) << 8 | UInt64(transport))
  }
}

extension IPv6Peek {
  /// Bytes before the first extension header, or the transport's.
  public static let headerLength = 40

  init?(_ packet: RawSpan) {
    guard packet.byteCount >= Self.headerLength else { return nil }
    let end = Self.headerLength + Int(packet.word16(4))
    guard end <= packet.byteCount else { return nil }
    source = IPv6Address(high: packet.word64(8), low: packet.word64(16))
    destination = IPv6Address(high: packet.word64(24), low: packet.word64(32))
    nextHeader = packet.byte(6)
    var mixed: UInt64 = 0
    for offset in stride(from: 8, to: 40, by: 8) {
      mixed = (mixed ^ packet.word64(offset)) &* 0x9E37_79B9_7F4A_7C15
      mixed ^= mixed >> 32
    }
    let ports = packet.ports(nextHeader, at: Self.headerLength, end: end)
    flow = foldFlow(mixed, UInt64(ports) << 8 | UInt64(nextHeader))
  }
}

extension RawSpan {
  @inlinable func byte(_ offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

  @inlinable func word16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inlinable func word32(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inlinable func word64(_ offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// Whether an IPv4 packet is a fragment, which may lack the transport's header.
  var isIPv4Fragment: Bool { word16(6) & 0x3FFF != 0 }

  /// Both ports of a TCP or UDP header in a packet that ends at `end`; 0 if it has none.
  fileprivate func ports(_ transport: UInt8, at offset: Int, end: Int) -> UInt32 {
    (transport == 6 || transport == 17) && end - offset >= 4 ? word32(offset) : 0
  }
}

/// Random in every process, so that a flow's hash does not reveal its ports to the relay.
private let flowSecret = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))

/// Every bit of either changes about half of the flow's (the end of MurmurHash3).
private func foldFlow(_ first: UInt64, _ second: UInt64) -> UInt16 {
  var mixed = ((first ^ flowSecret.0) &* 0x9E37_79B9_7F4A_7C15) ^ second ^ flowSecret.1
  mixed = (mixed ^ mixed >> 33) &* 0xFF51_AFD7_ED55_8CCD
  mixed = (mixed ^ mixed >> 33) &* 0xC4CE_B9FE_1A85_EC53
  return UInt16(truncatingIfNeeded: mixed >> 48)
}
