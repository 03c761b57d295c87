// `unreachable` is a control message and the device makes the ICMP message from it: only the relay knows that no device
// has an address, and only the device sees the packet.

internal import Wire

/// The message that tells a program on this device that nobody has an address: of ICMP type 3, code 1 (RFC 792), of ICMPv6
/// type 1, code 3 (RFC 4443, section 3.1).
enum UnreachableReply {
  /// As much of an IPv4 packet that could not be delivered goes into the message (RFC 1812 section 4.3.2.3 has more, but its
  /// header, the ports and the echo's number are what is looked at).
  static let quoteSize = 128
  /// The largest message about an IPv6 packet: what every link carries (RFC 4443, section 2.4, c).
  static let maximumSize6 = 1280

  private static let messageHeader = 8

  /// The message with its offload header, to be written to the TUN; `packet` begins with the IP header that `peek` is of. `nil`
  /// if nothing may be said about such a packet.
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

  /// Nothing about what may be an ICMP error itself (RFC 1122, section 3.2.2): of ICMP, about echoes alone.
  private static func mayBeTold(_ packet: UnsafeRawBufferPointer, _ peek: IPv4Peek) -> Bool {
    let icmp: UInt8 = 1
    let echo: UInt8 = 8
    return peek.transport != icmp || packet.count > peek.headerLength && packet[peek.headerLength] == echo
  }

  /// The same for ICMPv6 (RFC 4443, section 2.4, e), which may stand behind extension headers.
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
    let quote = quoted.prefix(quoteSize)
    return packet(header: IPv4Peek.minimumHeader, quote) { header, message in
      header[0] = 0x45
      header.storeBytes(of: UInt16(header.count + message.count).bigEndian, toByteOffset: 2, as: UInt16.self)
      header[8] = 64
      header[9] = 1
      header.storeBytes(of: source.bits.bigEndian, toByteOffset: 12, as: UInt32.self)
      header.storeBytes(of: local.bits.bigEndian, toByteOffset: 16, as: UInt32.self)
      header.storeBytes(of: checksum(header).bigEndian, toByteOffset: 10, as: UInt16.self)
      message[0] = 3
      message[1] = 1
      message.storeBytes(of: checksum(message).bigEndian, toByteOffset: 2, as: UInt16.self)
    }
  }

  private static func reply(
    quoting quoted: UnsafeRawBufferPointer, from source: IPv6Address, to local: IPv6Address
  ) -> [UInt8] {
    let quote = quoted.prefix(maximumSize6 - IPv6Peek.headerLength - messageHeader)
    return packet(header: IPv6Peek.headerLength, quote) { header, message in
      header[0] = 0x60
      header.storeBytes(of: UInt16(message.count).bigEndian, toByteOffset: 4, as: UInt16.self)
      header[6] = 58
      header[7] = 64
      for (address, offset) in [(source, 8), (local, 24)] {
        header.storeBytes(of: address.high.bigEndian, toByteOffset: offset, as: UInt64.self)
        header.storeBytes(of: address.low.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
      }
      message[0] = 1
      message[1] = 3
      // The pseudo-header of RFC 8200, section 8.1: addresses, length, next header.
      var sum = InternetChecksum()
      sum.add(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(header)[8..<40]).bytes)
      sum.add(UInt16(message.count))
      sum.add(58)
      sum.add(UnsafeRawBufferPointer(message).bytes)
      message.storeBytes(of: sum.value.bigEndian, toByteOffset: 2, as: UInt16.self)
    }
  }

  /// A packet of offload header, IP header, the message's header and what it quotes; `fill` gets the second, and the rest.
  private static func packet(
    header size: Int, _ quote: Slice<UnsafeRawBufferPointer>,
    _ fill: (_ header: UnsafeMutableRawBufferPointer, _ message: UnsafeMutableRawBufferPointer) -> Void
  ) -> [UInt8] {
    var packet = [UInt8](repeating: 0, count: OffloadHeader.size + size + messageHeader) + quote
    packet.withUnsafeMutableBytes { bytes in
      let start = OffloadHeader.size + size
      fill(
        UnsafeMutableRawBufferPointer(rebasing: bytes[OffloadHeader.size..<start]),
        UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
    }
    return packet
  }

  private static func checksum(_ bytes: UnsafeMutableRawBufferPointer) -> UInt16 {
    var checksum = InternetChecksum()
    checksum.add(UnsafeRawBufferPointer(bytes).bytes)
    return checksum.value
  }
}
