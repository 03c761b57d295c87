/// A TCP segment that says nothing but how far its sender has received (RFC 9293): no payload, no flag but ACK, and no options
/// but timestamps (RFC 7323). Duplicates that report a loss have the option SACK, or acknowledge nothing new.
public struct PureACK: Sendable, Equatable {
  private let network: IPPeek
  private let segment: TCPPeek
  /// Traffic class and congestion notification, which routers may have changed on the way.
  private let trafficClass: UInt16

  /// The size of the largest, IP header included, in bytes: over IPv6, with timestamps.
  public static let maximumSize = IPv6Peek.headerLength + TCPPeek.minimumHeader + timestampsSize
  private static let timestampsSize = 12
  /// Two no-operations before the option, as all systems lay it out.
  private static let timestampsStart: UInt32 = 0x0101_080A

  /// `nil`: `packet` is something else, or has options of IP.
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

  /// Whether this, which came later, is of the same connection, acknowledges more, and says all else that `former` says.
  public func supersedes(_ former: PureACK) -> Bool {
    network == former.network && trafficClass == former.trafficClass
      && segment.sourcePort == former.segment.sourcePort && segment.destinationPort == former.segment.destinationPort
      && segment.sequence == former.segment.sequence && segment.optionsLength == former.segment.optionsLength
      && Int32(bitPattern: segment.acknowledgment &- former.segment.acknowledgment) > 0
  }
}
