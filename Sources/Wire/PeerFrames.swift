// The frames between two devices.
//
// Their handshake is Noise_IK_25519_<cipher>_SHA256 in two peer-handshake frames; the initiator has the responder's key
// from the relay (or its own config). The prologue is `MNEDC peer` in ASCII, the initiation's header, and for the
// initiator and then the responder: virtual address 32, the length of the device ID 8, the device ID.
//
//     initiator → responder   | header 8 | e, es, s, ss | sealed: nothing yet                          |
//     responder → initiator   | header 8 | e, ee, se    | sealed: the responder's session number 32    |
//
// Further bytes of a sealed payload are ignored. The responder sends under the new keys only after a frame from the
// initiator that is sealed with them, so the initiator sends one at once, empty if need be.

/// The beginning of a peer-handshake frame's payload; a Noise message follows.
///
///     0         1           2         4             8
///     | step 8  | cipher 8  | zero 16 | session 32  |
public struct PeerHandshakeHeader: Sendable, Equatable {
  public static let size = 8

  public enum Step: UInt8, Sendable {
    case initiation = 1
    case response = 2
  }

  public var step: Step
  /// The session's cipher, which the initiator chooses among those that both devices have.
  public var cipher: CipherSuite
  /// The initiator's number for the session, which frames to it carry; the response repeats it.
  public var session: UInt32

  public init(step: Step, cipher: CipherSuite, session: UInt32) {
    self.step = step
    self.cipher = cipher
    self.session = session
  }

  /// `nil` for what is too short, unknown or has reserved bits set.
  public init?(parsing payload: RawSpan) {
    guard payload.byteCount >= Self.size, let step = Step(rawValue: payload.byte(0)),
      let cipher = CipherSuite.allCases.first(where: { $0.number == payload.byte(1) }), payload.word16(2) == 0
    else { return nil }
    self.step = step
    self.cipher = cipher
    session = payload.word32(4)
  }

  public var bytes: [UInt8] {
    [step.rawValue, cipher.number, 0, 0] + withUnsafeBytes(of: session.bigEndian) { Array($0) }
  }

  /// The prologue of the handshake that this initiation begins.
  public func prologue(from initiator: PeerName, to responder: PeerName) -> [UInt8] {
    Array("MNEDC peer".utf8) + bytes + initiator.bytes + responder.bytes
  }
}

extension CipherSuite {
  fileprivate var number: UInt8 {
    switch self {
    case .aes256GCM: 1
    case .chaCha20Poly1305: 2
    }
  }
}

/// What identifies a device to its peers.
public struct PeerName: Sendable, Equatable {
  public var address: IPv4Address
  public var deviceID: String

  public init(address: IPv4Address, deviceID: String) {
    self.address = address
    self.deviceID = deviceID
  }

  public init(_ peer: Peer) {
    self.init(address: peer.address, deviceID: peer.deviceID)
  }

  /// The address, the ID's length in one byte, and the ID.
  var bytes: [UInt8] {
    withUnsafeBytes(of: address.bits.bigEndian) { Array($0) } + [UInt8(truncatingIfNeeded: deviceID.utf8.count)]
      + Array(deviceID.utf8)
  }
}

/// The beginning of a data frame's payload: the associated data of the sealed content and its tag of 16 bytes, which
/// follow. `path` and `counter` make the nonce.
///
///     0             4         5         8            16
///     | session 32  | kind 8  | path 24 | counter 64 |
public struct SealedHeader: Sendable, Equatable {
  public static let size = 16

  /// What is sealed.
  public enum Kind: UInt8, Sendable {
    /// `PacketRecord`s; or nothing, which shows that the session is in use.
    case packets = 0
    /// A `PeerMessage`.
    case message = 1
    /// A `PathMessage`.
    case path = 2
  }

  public static let maximumPath: UInt32 = 0xFF_FFFF

  /// The number that the receiver gave the session.
  public var session: UInt32
  public var kind: Kind
  /// The sender's number for the path that the frame takes: 0 by way of the relay, from 1 on for direct paths. At most
  /// `maximumPath`.
  public var path: UInt32
  /// Begins with 0 and rises with every frame of the session in this direction on this path.
  public var counter: UInt64

  public init(session: UInt32, kind: Kind, path: UInt32 = 0, counter: UInt64) {
    precondition(path <= Self.maximumPath)
    self.session = session
    self.kind = kind
    self.path = path
    self.counter = counter
  }

  /// `nil` for what is too short or of an unknown kind.
  @inlinable public init?(parsing payload: RawSpan) {
    guard payload.byteCount >= Self.size else { return nil }
    let second = payload.word32(4)
    guard let kind = Kind(rawValue: UInt8(second >> 24)) else { return nil }
    self.kind = kind
    path = second & Self.maximumPath
    session = payload.word32(0)
    counter = payload.word64(8)
  }

  /// Writes the header to the first `size` bytes of `bytes`.
  @inlinable public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.size)
    bytes.storeBytes(of: session.bigEndian, toByteOffset: 0, as: UInt32.self)
    bytes.storeBytes(of: (UInt32(kind.rawValue) << 24 | path).bigEndian, toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: counter.bigEndian, toByteOffset: 8, as: UInt64.self)
  }
}

/// One of the packets in a data frame, as the sender's TUN gave it.
///
///     0           4                      14
///     | length 32 | offload header 10    | packet
///
/// `length` counts the offload header and the packet, and is in network byte order like everything in a frame but the
/// offload header, which is as the kernel gives and takes it (`OffloadHeader`, little-endian).
public enum PacketRecord {
  /// The bytes before the offload header.
  public static let prefixSize = 4

  public static func writePrefix(length: Int, to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: UInt32(length).bigEndian, as: UInt32.self)
  }

  /// The range of the offload header and packet of the record at `offset`; the next record begins at its end. Throws
  /// unless `payload` holds all of it.
  public static func range(in payload: RawSpan, at offset: Int) throws(WireError) -> Range<Int> {
    guard payload.byteCount - offset >= prefixSize else { throw .badPacketRecord }
    let length = Int(payload.word32(offset))
    let start = offset + prefixSize
    guard length > 0, length <= payload.byteCount - start else { throw .badPacketRecord }
    return start..<start + length
  }
}
