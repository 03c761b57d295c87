internal import Wire

/// The ICMP message that tells a program on this device that nobody has an address: type 3, code 1 (RFC 792).
enum UnreachableReply {
  /// As much of the packet that could not be delivered goes into the message (RFC 1812 section 4.3.2.3 has more, but its
  /// header, the ports and the echo's number are what is looked at).
  static let quoteSize = 128

  private static let headerSize = 28

  /// The message as a packet with its offload header, to be written to the TUN; `quoted` begins with the packet's IPv4
  /// header, and `source` must not be an address of this host, or the kernel would not take it.
  static func packet(quoting quoted: UnsafeRawBufferPointer, from source: IPv4Address, to local: IPv4Address) -> [UInt8]
  {
    let quote = quoted.prefix(quoteSize)
    var packet = [UInt8](repeating: 0, count: OffloadHeader.size + headerSize) + quote
    packet.withUnsafeMutableBytes { bytes in
      let header = UnsafeMutableRawBufferPointer(rebasing: bytes[OffloadHeader.size..<OffloadHeader.size + 20])
      header[0] = 0x45
      header.storeBytes(of: UInt16(headerSize + quote.count).bigEndian, toByteOffset: 2, as: UInt16.self)
      header[8] = 64
      header[9] = 1
      header.storeBytes(of: source.bits.bigEndian, toByteOffset: 12, as: UInt32.self)
      header.storeBytes(of: local.bits.bigEndian, toByteOffset: 16, as: UInt32.self)
      header.storeBytes(of: checksum(header).bigEndian, toByteOffset: 10, as: UInt16.self)
      let message = UnsafeMutableRawBufferPointer(rebasing: bytes[(OffloadHeader.size + 20)...])
      message[0] = 3
      message[1] = 1
      message.storeBytes(of: checksum(message).bigEndian, toByteOffset: 2, as: UInt16.self)
    }
    return packet
  }

  private static func checksum(_ bytes: UnsafeMutableRawBufferPointer) -> UInt16 {
    var checksum = InternetChecksum()
    checksum.add(UnsafeRawBufferPointer(bytes).bytes)
    return checksum.value
  }
}
