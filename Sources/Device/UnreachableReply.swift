// `unreachable` is a control message and the device makes the ICMP message from it: only the relay knows that no device
// has an address, and only the device sees the packet.

internal import Wire

/// The message to a program on this host that no device has an address: ICMP type 3, code 1 (RFC 792), or ICMPv6 type
/// 1, code 3 (RFC 4443, section 3.1).
enum UnreachableReply {
  /// The quoted part of an IPv4 packet (RFC 1812, section 4.3.2.3, allows more, but programs read only the header, the
  /// ports and the echo's number).
  static let quoteSize = 128
  /// The largest message about an IPv6 packet (RFC 4443, section 2.4, c).
  static let maximumSize6 = 1280

  private static let messageHeader = 8

  /// The message with its offload header, to be written to the TUN. `packet` begins with the IP header that `peek` is
  /// of. `nil`: no message may be sent about such a packet.
  static func packet(about packet: UnsafeRawBufferPointer, _ peek: IPPeek, to membership: Membership) -> [UInt8]? {
    // The kernel takes no packet that claims to come from this host itself.
    let isRelay = membership.relayAddress == membership.address
    switch peek {
    case .ipv4(let peek):
      guard mayBeTold(packet, peek) else { return nil }
      return reply(
        quoting: packet, from: isRelay ? peek.destination : membership.relayAddress, to: peek.source)
    case .ipv6(let peek):
      guard let pool = membership.pool6, pool.contains(peek.destination), pool.contains(peek.source),
        mayBeTold(packet, peek)
      else { return nil }
      return reply(
        quoting: packet, from: isRelay ? peek.destination : pool.address(of: membership.relayAddress), to: peek.source)
    }
  }

  /// There are no messages about ICMP errors (RFC 1122, section 3.2.2): of ICMP, only about echoes.
  private static func mayBeTold(_ packet: UnsafeRawBufferPointer, _ peek: IPv4Peek) -> Bool {
    let icmp: UInt8 = 1
    let echo: UInt8 = 8
    return peek.transport != icmp || packet.count > peek.headerLength && packet[peek.headerLength] == echo
  }

  /// The same for ICMPv6 (RFC 4443, section 2.4, e), which may come behind extension headers.
  private static func mayBeTold(_ packet: UnsafeRawBufferPointer, _ peek: IPv6Peek) -> Bool {
    let icmp: UInt8 = 58
    let echo: UInt8 = 128
    // Hop-by-hop options, routing, fragment, authentication, destination options.
    let extensions: [UInt8] = [0, 43, 44, 51, 60]
    if peek.nextHeader == icmp { return packet.count > IPv6Peek.headerLength && packet[IPv6Peek.headerLength] == echo }
    return !extensions.contains(peek.nextHeader)
  }

  private static func reply(
    quoting quoted: UnsafeRawBufferPointer, from source: IPv4Address, to local: IPv4Address
  ) -> [UInt8] {
    let message = withChecksum([3, 1, 0, 0, 0, 0, 0, 0] + quoted.prefix(quoteSize), at: 2)
    let header =
      [0x45, 0] + bytes(UInt16(IPv4Peek.minimumHeader + message.count)) + [0, 0, 0, 0, 64, 1, 0, 0]
      + bytes(source.bits) + bytes(local.bits)
    return noOffload + withChecksum(header, at: 10) + message
  }

  private static func reply(
    quoting quoted: UnsafeRawBufferPointer, from source: IPv6Address, to local: IPv6Address
  ) -> [UInt8] {
    let addresses = bytes(source.high) + bytes(source.low) + bytes(local.high) + bytes(local.low)
    let quote = quoted.prefix(maximumSize6 - IPv6Peek.headerLength - messageHeader)
    let body: [UInt8] = [1, 3, 0, 0, 0, 0, 0, 0] + quote
    // RFC 8200, section 8.1: addresses, length, next header.
    let pseudoHeader = addresses + bytes(UInt32(body.count)) + [0, 0, 0, 58]
    let message = withChecksum(body, at: 2, behind: pseudoHeader)
    let header = [0x60, 0, 0, 0] + bytes(UInt16(message.count)) + [58, 64] + addresses
    return noOffload + header + message
  }

  private static let noOffload = [UInt8](repeating: 0, count: OffloadHeader.size)

  private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }

  /// Puts the checksum of all bytes, and of `pseudoHeader` before them, at `offset`.
  private static func withChecksum(_ bytes: [UInt8], at offset: Int, behind pseudoHeader: [UInt8] = []) -> [UInt8] {
    var checksum = InternetChecksum()
    (pseudoHeader + bytes).withUnsafeBytes { checksum.add($0.bytes) }
    var result = bytes
    result.replaceSubrange(offset..<offset + 2, with: Self.bytes(checksum.value))
    return result
  }
}
