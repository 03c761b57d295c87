internal import Noise
internal import Wire

/// Seals one direction's control, ping and pong frames. The header is the associated data, the counter the nonce.
struct FrameSeal: ~Copyable {
  private let cipher: TransportCipher
  private var counter: UInt64 = 0

  init(_ key: TransportKey) {
    cipher = TransportCipher(key)
  }

  /// The sealed frame of a frame in the clear.
  mutating func seal(_ frame: [UInt8]) -> [UInt8] {
    var sealed = frame + [UInt8](repeating: 0, count: TransportCipher.tagSize)
    sealed.withUnsafeMutableBytes { bytes in
      guard var header = try? FrameHeader(parsing: UnsafeRawBufferPointer(bytes).bytes) else {
        preconditionFailure("a frame of our own has a valid header")
      }
      header.length += TransportCipher.tagSize
      header.write(to: bytes)
      cipher.seal(
        UnsafeMutableRawBufferPointer(rebasing: bytes[FrameHeader.size...]), counter: counter,
        associatedData: UnsafeRawBufferPointer(rebasing: bytes[..<FrameHeader.size]))
    }
    counter += 1
    return sealed
  }

  /// Opens a frame in place: the frame without its tag, and its header to match; `nil` if it is not authentic. Call it
  /// for every frame, in order.
  mutating func open(
    _ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader
  ) -> (UnsafeMutableRawBufferPointer, FrameHeader)? {
    guard header.length >= TransportCipher.tagSize,
      cipher.open(
        UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), counter: counter,
        associatedData: UnsafeRawBufferPointer(rebasing: frame[..<FrameHeader.size]))
    else { return nil }
    counter += 1
    var header = header
    header.length -= TransportCipher.tagSize
    return (UnsafeMutableRawBufferPointer(rebasing: frame[..<header.frameSize]), header)
  }
}
