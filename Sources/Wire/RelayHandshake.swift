// The handshake between a device, which begins it, and a relay: Noise_XX_25519_ChaChaPoly_SHA256 in three handshake
// frames.
//
//     device → relay   | hello 12 | e | padding                                   | all in the clear
//     relay → device   | e, ee, s, es | sealed: version 8 | `network`, JSON | padding | the version spoken from here on
//     device → relay   | s, se        | sealed: `join`, JSON                        |
//
// The padding is at most `HandshakeHello.maximumPadding` zeros, and mostly absent. The relay sends as much as it
// received, so that a device can find out whether large packets get through both ways.
//
// The prologue is `MNEDC relay` in ASCII and the hello. Afterwards control, ping and pong frames are sealed with
// ChaCha20-Poly1305 under the two keys of Noise's Split, each direction with its own counter from 0; the associated
// data are the twelve bytes of the frame's header, whose length includes the tag. The relay answers the third message
// with a sealed control frame. Before that it may send a `refused` in the clear, which proves nothing.

/// The first bytes that a device sends in a handshake:
///
///     0                   1                   2         4            12
///     | oldest version 8  | newest version 8  | zero 16 | key hint 64 |
public struct HandshakeHello: Sendable, Equatable {
  public static let size = 12
  /// In bytes: the second message fits a handshake frame with it.
  public static let maximumPadding = 7 << 10
  /// TCP segments to try where larger ones do not get through, in bytes without headers, as TCP_MAXSEG counts: for a
  /// path MTU of 1500 where this host's link has a larger one; for 1280, which IPv6 requires of every path (RFC 8200,
  /// section 5); and for any path (RFC 9293, section 3.7.1).
  public static let segmentSizes = [1400, 1200, 536]

  /// The protocol versions that the device speaks.
  public var versions: ClosedRange<UInt8>
  /// The first 8 bytes of the SHA-256 digest of the relay key that the device expects, so that a relay whose key was
  /// replaced can prove the former one; zero if the device expects none.
  public var keyHint: UInt64

  public init(versions: ClosedRange<UInt8> = protocolVersion...protocolVersion, keyHint: UInt64) {
    self.versions = versions
    self.keyHint = keyHint
  }

  /// Reads the hello at the beginning of a handshake's first payload.
  public init(parsing payload: RawSpan) throws(WireError) {
    guard payload.byteCount >= Self.size else { throw .badMessage("the hello is too short") }
    let (oldest, newest) = (payload.byte(0), payload.byte(1))
    guard oldest <= newest else { throw .badMessage("the hello names no version") }
    guard payload.word16(2) == 0 else { throw .reservedBitsSet }
    versions = oldest...newest
    keyHint = payload.word64(4)
  }

  public var bytes: [UInt8] {
    [versions.lowerBound, versions.upperBound, 0, 0] + withUnsafeBytes(of: keyHint.bigEndian) { Array($0) }
  }

  /// What both sides bind their handshake to.
  public var prologue: [UInt8] { Array("MNEDC relay".utf8) + bytes }
}

/// The payload of the handshake's second message:
///
///     | version 8 | `network`, JSON | padding: zeros |
///
/// A relay of an older release sends the version alone, and the network only in `welcome`.
public struct RelayGreeting: Sendable, Equatable {
  public var version: UInt8
  public var network: NetworkNotice?
  /// In bytes.
  public var padding: Int

  public init(version: UInt8 = protocolVersion, network: NetworkNotice?, padding: Int = 0) {
    self.version = version
    self.network = network
    self.padding = padding
  }

  public init(parsing payload: [UInt8]) throws(WireError) {
    guard let version = payload.first else { throw .badMessage("the relay names no version") }
    self.version = version
    let notice = payload.dropFirst().prefix(while: { $0 != 0 })
    padding = payload.count - 1 - notice.count
    guard version == protocolVersion, !notice.isEmpty else { return }
    if case .network(let notice)? = try ControlMessage.decode(Array(notice)) { network = notice }
  }

  public var bytes: [UInt8] {
    [version] + (network.map { ControlMessage.network($0).encoded() } ?? []) + [UInt8](repeating: 0, count: padding)
  }
}
