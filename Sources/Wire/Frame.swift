// Every byte between a device and a relay belongs to a frame. Network byte order:
//
//     0        1                4                8         10          12
//     | type 8 | length 24      | address 32     | flow 16 | zero 16   | payload (length bytes)
//
// `address` is a virtual IPv4 address: to the relay the destination, from the relay the source, which the relay takes
// from the session's lease. `flow` is a hash of the inner flow that the sender sets, by which queues are fair. In
// frames between device and relay both are sent as zero and ignored.

/// What a frame carries.
public enum FrameType: UInt8, Sendable {
  /// A message of the handshake between device and relay (`RelayHandshake`).
  case handshake = 1
  /// A `ControlMessage` between device and relay; sealed once the handshake is over.
  case control = 2
  /// Packets between two devices, sealed by one for the other (`SealedHeader`), so that the relay cannot read them.
  case data = 3
  /// A message of the handshake between two devices (`PeerHandshakeHeader`), which the relay forwards like data.
  case peerHandshake = 4
  /// An echo request, sealed: the other end answers with a pong of the same payload, also sealed. That proves that it
  /// lives, and measures the round trip.
  case ping = 5
  case pong = 6

  /// The longest payload of this type, in bytes.
  public var maximumPayload: Int {
    switch self {
    case .handshake: 8 << 10
    case .control, .data: FrameHeader.maximumPayload
    case .peerHandshake: 1 << 10
    case .ping, .pong: 64
    }
  }

  /// Whether the two ends of a connection seal it for each other, once their handshake is over.
  public var isSealedByLink: Bool { self == .control || self == .ping || self == .pong }
}

/// The twelve bytes before every payload.
public struct FrameHeader: Sendable, Equatable {
  public static let size = 12
  /// 128 KiB: room for a 64 KiB super-packet, its headers and a seal.
  public static let maximumPayload = 128 << 10
  /// The largest frame, header and payload.
  public static let maximumFrame = size + maximumPayload

  public var type: FrameType
  /// The payload's length in bytes.
  public var length: Int
  public var address: IPv4Address
  public var flow: UInt16

  public init(type: FrameType, length: Int, address: IPv4Address = IPv4Address(bits: 0), flow: UInt16 = 0) {
    self.type = type
    self.length = length
    self.address = address
    self.flow = flow
  }

  /// Header and payload together, in bytes.
  @inlinable public var frameSize: Int { Self.size + length }

  /// Reads the header at `offset`; precondition: at least `size` bytes are there. Refuses unknown types, payloads over
  /// their type's limit and reserved bits that are set.
  public init(parsing bytes: RawSpan, at offset: Int = 0) throws(WireError) {
    precondition(offset >= 0 && bytes.byteCount - offset >= Self.size)
    let word = bytes.word32(offset)
    guard let type = FrameType(rawValue: UInt8(word >> 24)) else { throw .unknownFrameType(UInt8(word >> 24)) }
    self.type = type
    length = Int(word & 0xFF_FFFF)
    guard length <= type.maximumPayload else { throw .oversizedFrame(type, length) }
    address = IPv4Address(bits: bytes.word32(offset + 4))
    let last = bytes.word32(offset + 8)
    flow = UInt16(last >> 16)
    guard last & 0xFFFF == 0 else { throw .reservedBitsSet }
  }

  /// Writes the header to the first `size` bytes of `bytes`.
  public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.size && length <= type.maximumPayload)
    let word = UInt32(type.rawValue) << 24 | UInt32(length)
    bytes.storeBytes(of: word.bigEndian, toByteOffset: 0, as: UInt32.self)
    Self.rewriteAddress(of: bytes, to: address)
    bytes.storeBytes(of: (UInt32(flow) << 16).bigEndian, toByteOffset: 8, as: UInt32.self)
  }

  /// Overwrites the address of a frame in place.
  public static func rewriteAddress(of frame: UnsafeMutableRawBufferPointer, to address: IPv4Address) {
    frame.storeBytes(of: address.bits.bigEndian, toByteOffset: 4, as: UInt32.self)
  }

  /// A whole frame without address and flow.
  public static func frame(_ type: FrameType, payload: [UInt8]) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: size)
    frame.withUnsafeMutableBytes { FrameHeader(type: type, length: payload.count).write(to: $0) }
    return frame + payload
  }
}

/// What is at one place in a stream of frames.
public enum FrameScan: Sendable, Equatable {
  /// A whole frame.
  case frame(FrameHeader)
  /// The beginning of a frame that has at least `needed` bytes in all.
  case partial(needed: Int)

  /// Reads the frame at `offset`, which may be the end of `bytes`.
  public init(_ bytes: RawSpan, at offset: Int) throws(WireError) {
    let available = bytes.byteCount - offset
    guard available >= FrameHeader.size else {
      self = .partial(needed: FrameHeader.size)
      return
    }
    let header = try FrameHeader(parsing: bytes, at: offset)
    self = available >= header.frameSize ? .frame(header) : .partial(needed: header.frameSize)
  }
}

/// What is wrong with bytes from the other end.
public enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The first bytes of a connection are of another protocol.
  case foreign(ForeignProtocol)
  case unknownFrameType(UInt8)
  case oversizedFrame(FrameType, Int)
  case reservedBitsSet
  case unexpectedFrame(FrameType)
  case badPacketRecord
  case badMessage(String)
  /// A sealed frame or a handshake message that fails authentication.
  case notAuthentic(FrameType)

  public var description: String {
    switch self {
    case .foreign(let other): "\(other.name) in place of MNEDC's first frame"
    case .unknownFrameType(let type): "a frame of the unknown type \(type)"
    case .oversizedFrame(let type, let length):
      "a \(type) frame of \(length) bytes, more than the \(type.maximumPayload) it may have"
    case .reservedBitsSet: "a frame with reserved bits set"
    case .unexpectedFrame(let type): "a \(type) frame where none is due"
    case .badPacketRecord: "a data frame whose packets do not fill it"
    case .badMessage(let why): "an invalid message: \(why)"
    case .notAuthentic(.handshake): "a handshake message that fails authentication"
    case .notAuthentic(let type): "a \(type) frame that does not open with the session's key"
    }
  }
}
