// How two ends agree on a session: each makes a Handshake, the initiator writes the first message, and they take turns
// to read and write until it is finished. Then `split` gives the two keys, each for one TransportCipher.
//
// Source: the Noise specification, revision 34 (https://noiseprotocol.org/noise.html), with X25519 and SHA-256.

public import Wire

/// One end of a Noise handshake. Only one copy of the value may write, or a key would seal two messages with one
/// counter. For any thread, one at a time.
public struct Handshake: Sendable {
  /// The longest message in bytes (section 3).
  public static let maximumMessage = 65535

  // Set once.
  private let role: Role
  private let messages: [[Token]]
  private let key: PrivateKey

  private var symmetric: SymmetricState
  /// Only test vectors set it. Using one twice reveals the session's keys.
  package var ephemeralKey = PrivateKey()
  private var remoteEphemeralKey: PublicKey?
  /// How many messages were written and read.
  private var turn = 0
  private var hasFailed = false

  /// The other end's key: for an initiator of `ik` from the start, else after the read that brings it. It is proved
  /// once `isFinished`; for a responder of `ik` after its read, though that message may be a replay.
  public private(set) var remoteKey: PublicKey?

  /// - Parameters:
  ///   - prologue: must be the same at both ends; it is not sent.
  ///   - key: this end's own.
  ///   - remoteKey: the responder's key for the initiator of `ik`; `nil` for all others.
  public init(
    _ pattern: Pattern, cipher: CipherSuite, role: Role, prologue: [UInt8], key: PrivateKey,
    remoteKey: PublicKey? = nil
  ) {
    precondition((remoteKey != nil) == (pattern.knowsResponder && role == .initiator))
    self.role = role
    self.key = key
    self.remoteKey = remoteKey
    messages = pattern.messages
    symmetric = SymmetricState(
      protocolName: "Noise_\(pattern.rawValue)_25519_\(cipher.noiseName)_SHA256", suite: cipher)
    symmetric.mixHash(prologue)
    if pattern.knowsResponder { symmetric.mixHash((remoteKey ?? key.publicKey).bytes) }
  }

  public var isFinished: Bool { turn == messages.count && !hasFailed }

  /// Whether this end writes the next message.
  public var isOurTurn: Bool { turn < messages.count && !hasFailed && (turn % 2 == 0) == (role == .initiator) }

  /// The next message for the other end, at most `maximumMessage` bytes. Throws `tooLong`, or `badKey` for the other
  /// end's key; after an error the handshake stays failed, and every use throws `failed`. Precondition: it is our turn.
  public mutating func write(_ payload: [UInt8] = []) throws(NoiseError) -> [UInt8] {
    guard !hasFailed else { throw .failed }
    precondition(isOurTurn)
    var next = self
    hasFailed = true
    let message = try next.writeTokens(payload)
    self = next
    return message
  }

  /// The payload of the other end's next message. Throws `outOfTurn` and changes nothing, or any other error, after
  /// which the handshake stays failed and every use throws `failed`.
  public mutating func read(_ message: UnsafeRawBufferPointer) throws(NoiseError) -> [UInt8] {
    guard !hasFailed else { throw .failed }
    guard !isOurTurn, !isFinished else { throw .outOfTurn }
    var next = self
    hasFailed = true
    let payload = try next.readTokens(message)
    self = next
    return payload
  }

  /// The same 32 bytes at both ends, and in no other session (section 11.2). Precondition: `isFinished`.
  public var hash: [UInt8] {
    precondition(isFinished)
    return symmetric.hash
  }

  /// The keys of this end's two directions. Precondition: `isFinished`.
  public consuming func split() -> (send: TransportKey, receive: TransportKey) {
    precondition(isFinished)
    let (first, second) = symmetric.split()
    return role == .initiator ? (first, second) : (second, first)
  }

  private mutating func writeTokens(_ payload: [UInt8]) throws(NoiseError) -> [UInt8] {
    var message: [UInt8] = []
    for token in messages[turn] {
      switch token {
      case .e:
        let bytes = ephemeralKey.publicKey.bytes
        symmetric.mixHash(bytes)
        message += bytes
      case .s:
        message += symmetric.encryptAndHash(key.publicKey.bytes)
      case .ee, .es, .se, .ss:
        try agree(token)
      }
    }
    guard message.count + payload.count + symmetric.overhead <= Self.maximumMessage else { throw .tooLong }
    message += symmetric.encryptAndHash(payload)
    turn += 1
    return message
  }

  private mutating func readTokens(_ message: UnsafeRawBufferPointer) throws(NoiseError) -> [UInt8] {
    guard message.count <= Self.maximumMessage else { throw .tooLong }
    var rest = message[...]
    func take(_ count: Int) throws(NoiseError) -> UnsafeRawBufferPointer {
      guard rest.count >= count else { throw .tooShort }
      defer { rest = rest.dropFirst(count) }
      return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }
    for token in messages[turn] {
      switch token {
      case .e:
        let bytes = try take(PublicKey.size)
        symmetric.mixHash(bytes)
        remoteEphemeralKey = PublicKey(Array(bytes))
      case .s:
        remoteKey = PublicKey(try symmetric.decryptAndHash(try take(PublicKey.size + symmetric.overhead)))
      case .ee, .es, .se, .ss:
        try agree(token)
      }
    }
    guard rest.count >= symmetric.overhead else { throw .tooShort }
    let payload = try symmetric.decryptAndHash(UnsafeRawBufferPointer(rebasing: rest))
    turn += 1
    return payload
  }

  private mutating func agree(_ token: Token) throws(NoiseError) {
    let isInitiator = role == .initiator
    let (own, remote) =
      switch token {
      case .ee: (ephemeralKey, remoteEphemeralKey)
      case .es: isInitiator ? (ephemeralKey, remoteKey) : (key, remoteEphemeralKey)
      case .se: isInitiator ? (key, remoteEphemeralKey) : (ephemeralKey, remoteKey)
      case .ss: (key, remoteKey)
      case .e, .s: preconditionFailure("nothing to agree on")
      }
    guard let remote else { preconditionFailure("a key is agreed on before it is known") }
    symmetric.mixKey(try own.agree(with: remote))
  }
}

extension Handshake {
  /// Which key each end proves, and when (section 7.5).
  public enum Pattern: String, Sendable {
    /// Neither end knows the other's key before; three messages.
    case xx = "XX"
    /// The initiator knows the responder's key; two messages. The first one's payload can be replayed to the responder.
    case ik = "IK"

    var knowsResponder: Bool { self == .ik }

    /// The first message is the initiator's, and then they take turns.
    var messages: [[Token]] {
      switch self {
      case .xx: [[.e], [.e, .ee, .s, .es], [.s, .se]]
      case .ik: [[.e, .es, .s, .ss], [.e, .ee, .se]]
      }
    }
  }

  public enum Role: Sendable {
    case initiator, responder
  }

  /// A part of a message before its payload: a key that is sent, or two that are agreed on, the initiator's first.
  enum Token {
    case e, s
    case ee, es, se, ss
  }
}

/// Why a handshake failed.
public enum NoiseError: Error, Equatable, Sendable {
  case tooShort
  case tooLong
  /// A public key with which every key agreement gives zero.
  case badKey
  /// A received message was changed, is for another key, or answers another handshake.
  case authentication
  case outOfTurn
  /// The handshake failed before; begin a new one.
  case failed
}
