/// What is read of a TCP header to see what is acknowledged: RFC 9293 section 3.1.
public struct TCPPeek: Sendable, Equatable {
  public let sourcePort: UInt16
  public let destinationPort: UInt16
  /// Of the first byte of payload.
  public let sequence: UInt32
  /// The sequence number that the sender expects next; means nothing without `acknowledges`.
  public let acknowledgment: UInt32
  /// From CWR down to FIN.
  public let flags: UInt8
  /// In bytes.
  public let optionsLength: Int
  /// Bytes behind the header; of a super-packet, those of all its segments.
  public let payloadLength: Int

  public static let minimumHeader = 20
  public static let ack: UInt8 = 0x10

  /// `nil`: `packet`, whose network header is `peek`, is no whole TCP segment, or one behind IPv6 extension headers.
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

  /// Whether this is from the other end of `sent`'s connection, and says that all up to the end of that has come. Sequence numbers
  /// go round.
  public func confirms(_ sent: TCPPeek) -> Bool {
    acknowledges && sourcePort == sent.destinationPort && destinationPort == sent.sourcePort
      && Int32(bitPattern: acknowledgment &- sent.end) >= 0
  }
}
