// The payload of a data frame: one packet after the other, each as the sender's TUN gave it.
//
//     0           4                      14
//     | length 32 | offload header 10    | packet
//
// `length` counts the offload header and the packet, and is in network byte order like everything in a frame but the
// offload header, which travels as the kernel gives and takes it (`OffloadHeader`, little-endian).

/// One packet in the payload of a data frame.
public enum PacketRecord {
  /// The bytes before the offload header.
  public static let prefixSize = 4

  public static func writePrefix(length: Int, to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: UInt32(length).bigEndian, as: UInt32.self)
  }

  /// Where the record at `offset` has its offload header and packet; the next record begins at the range's end. Throws
  /// unless they lie within `payload` whole.
  public static func range(in payload: RawSpan, at offset: Int) throws(WireError) -> Range<Int> {
    guard payload.byteCount - offset >= prefixSize else { throw .badPacketRecord }
    let length = Int(UInt32(bigEndian: payload.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    let start = offset + prefixSize
    guard length > 0, length <= payload.byteCount - start else { throw .badPacketRecord }
    return start..<start + length
  }
}
