public import Noise
public import Wire

/// What the sessions with peers need to know, as plain values.
public struct PeerSettings: Sendable {
  /// This device's own.
  public var key: PrivateKey
  /// In any order; AES-256-GCM is taken where both ends have it.
  public var ciphers: CipherList
  /// Keys that the config pins, by device ID; a relay that vouches for another is not believed.
  public var pinnedKeys: [String: PublicKey]
  /// A session in use is replaced after this time, or this many frames sent.
  public var rekeyAfter = Duration.seconds(120)
  public var rekeyFrames: UInt64 = 1 << 32
  /// A session that could not be replaced is not used any more after this time.
  public var expireAfter = Duration.seconds(180)

  public init(key: PrivateKey, ciphers: CipherList = .available, pinnedKeys: [String: PublicKey] = [:]) {
    self.key = key
    self.ciphers = ciphers
    self.pinnedKeys = pinnedKeys
  }

  var checkInterval: Duration { min(rekeyAfter / 8, .seconds(1)) }
}

extension CipherList {
  /// What this machine does well: AES-256-GCM only where the processor has instructions for it.
  public static var available: CipherList {
    CipherList(CipherSuite.hasAESInstructions ? [.aes256GCM, .chaCha20Poly1305] : [.chaCha20Poly1305])
  }
}

/// What the links have seen.
public struct PeerLinkCounters: Sendable, Equatable {
  /// Handshakes begun and answered, and sessions that came of them.
  public var initiations = 0
  public var answers = 0
  public var sessions = 0
  /// Dropped: does not open, or makes no sense.
  public var forged = 0
  /// Dropped: came twice, or too late to tell.
  public var replayed = 0
  /// Dropped: of a session that this device does not have (any more).
  public var unknownSession = 0
  /// Handshakes not answered because too many came.
  public var limited = 0
  /// Peers or initiations refused: a key that is not the pinned one, no cipher in common.
  public var refused = 0
}
