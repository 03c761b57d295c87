/// The parts of a TCP header (RFC 9293, section 3.1) that show what is acknowledged.
public struct TCPPeek: Sendable, Equatable {
  public let sourcePort: UInt16
  public let destinationPort: UInt16
  /// Of the first byte of payload.
  public let sequence: UInt32
  /// The sequence number that the sender expects next; valid only if `acknowledges`.
  public let acknowledgment: UInt32
  /// From CWR down to FIN.
  public let flags: UInt8
  /// In bytes.
  public let optionsLength: Int
  /// Bytes behind the header; of a super-packet, those of all its segments.
  public let payloadLength: Int

  public static let minimumHeader = 20
  public static let ack: UInt8 = 0x10

  /// `nil`: `packet`, whose network header is `peek`, is no whole TCP segment, or has IPv6 extension headers.
  public init?(_ packet: RawSpan, _ peek: IPPeek) {
    let (start, end): (Int, Int)
    switch peek {
    case .ipv4(let header) where header.transport == 6 && !packet.isIPv4Fragment:
      (start, end) = (header.headerLength, Int(packet.word16(2)))
    case .ipv6(let header) where header.nextHeader == 6:
      (start, end) = (IPv6Peek.headerLength, IPv6Peek.headerLength + Int(packet.word16(4)))
    case .ipv4, .ipv6:
      return nil
    }
    guard end <= packet.byteCount, end - start >= Self.minimumHeader else { return nil }
    let header = Int(packet.byte(start + 12) >> 4) * 4
    guard header >= Self.minimumHeader, header <= end - start else { return nil }
    sourcePort = packet.word16(start)
    destinationPort = packet.word16(start + 2)
    sequence = packet.word32(start + 4)
    acknowledgment = packet.word32(start + 8)
    flags = packet.byte(start + 13)
    optionsLength = header - Self.minimumHeader
    payloadLength = end - start - header
  }

  public var acknowledges: Bool { flags & Self.ack != 0 }

  /// The sequence number behind the payload.
  public var end: UInt32 { sequence &+ UInt32(truncatingIfNeeded: payloadLength) }

  /// Whether this is from the other end of `sent`'s connection, and acknowledges all up to its end. Sequence numbers
  /// wrap around.
  public func confirms(_ sent: TCPPeek) -> Bool {
    acknowledges && sourcePort == sent.destinationPort && destinationPort == sent.sourcePort
      && Int32(bitPattern: acknowledgment &- sent.end) >= 0
  }
}

/// A TCP segment that only acknowledges (RFC 9293): no payload, no flag but ACK, and no options but timestamps (RFC
/// 7323). Duplicates that report a loss have the option SACK, or acknowledge nothing new.
public struct PureACK: Sendable, Equatable {
  private let network: IPPeek
  private let segment: TCPPeek
  /// Traffic class and congestion notification, which routers may have changed on the path.
  private let trafficClass: UInt16

  /// The largest size in bytes, IP header included: over IPv6, with timestamps.
  public static let maximumSize = IPv6Peek.headerLength + TCPPeek.minimumHeader + timestampsSize
  private static let timestampsSize = 12
  /// Two no-operations before the option, as all systems lay it out.
  private static let timestampsStart: UInt32 = 0x0101_080A

  /// `nil`: `packet` is something else, or has IP options.
  public init?(_ packet: RawSpan) {
    guard let network = IPPeek(packet), let segment = TCPPeek(packet, network),
      segment.payloadLength == 0, segment.flags == TCPPeek.ack
    else { return nil }
    let transport: Int
    switch network {
    case .ipv4(let header) where header.headerLength == IPv4Peek.minimumHeader:
      transport = header.headerLength
      trafficClass = UInt16(packet.byte(1))
    case .ipv6:
      transport = IPv6Peek.headerLength
      trafficClass = packet.word16(0) & 0x0FF0
    case .ipv4:
      return nil
    }
    switch segment.optionsLength {
    case 0: break
    case Self.timestampsSize
    where packet.word32(transport + TCPPeek.minimumHeader) == Self.timestampsStart: break
    default: return nil
    }
    self.network = network
    self.segment = segment
  }

  /// Whether this later segment makes `former` superfluous: same connection, acknowledges more, otherwise equal.
  public func supersedes(_ former: PureACK) -> Bool {
    network == former.network && trafficClass == former.trafficClass
      && segment.sourcePort == former.segment.sourcePort && segment.destinationPort == former.segment.destinationPort
      && segment.sequence == former.segment.sequence && segment.optionsLength == former.segment.optionsLength
      && Int32(bitPattern: segment.acknowledgment &- former.segment.acknowledgment) > 0
  }
}
