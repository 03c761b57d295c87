// Control messages are JSON objects with a `type`. A reader ignores members that it does not know, and whole messages
// of an unknown type: that is how the protocol grows.

/// The version of the protocol that this code speaks.
public let protocolVersion: UInt8 = 1

/// A message between a device and the relay. All but the first two travel in control frames.
public enum ControlMessage: Sendable, Equatable {
  /// Relay to device, in the handshake's second message: the network that the device would join.
  case network(NetworkNotice)
  /// Device to relay, in the handshake's last message: asks to be admitted.
  case join(JoinRequest)
  /// Relay to device, the answer to `join`; a further one changes the terms of the lease (a pool that has grown,
  /// another keepalive) but never its address.
  case welcome(Welcome)
  /// Relay to device, a first answer to `join`: an operator has to decide. `welcome` or `refused` follows later.
  case pending
  /// Relay to device: the answer to `join`, or the reason for which the connection ends.
  case refused(Refusal)
  /// Relay to device: the connected devices, or what has changed since.
  case peers(PeerUpdate)
  /// Device to relay: a revision is missing; asks for the whole list again.
  case sync
  /// Device to relay: asks which device has this address or label. The answer is `unreachable`, or an update with the
  /// peer.
  case locate(Sought)
  /// Relay to device: no connected device has this address or label.
  case unreachable(Sought)
  /// Device to relay: asks which of these keys belong to devices of the network. Relay to device: the answer.
  case standing(Standing)
  /// Relay to device: the relay's key from now on.
  case relayKey(KeyNotice)
  /// Device to relay: the device will connect with this key from now on. The answer is `nextKeyAccepted` or
  /// `nextKeyRefused`; until it has connected with the new key, the relay accepts both.
  case nextKey(KeyNotice)
  case nextKeyAccepted(KeyNotice)
  case nextKeyRefused(Refusal)
  /// Relay to device: the relay is about to end. The device reads no more packets from its host and answers `drain`
  /// behind the last of its data; the relay closes the connection once all of it is delivered.
  case drain
  /// Device to relay: the device ends the connection.
  case leave
  /// Device to relay: the device does not take the lease of its first `welcome`, and ends the connection. The relay
  /// undoes the admission if this connection caused it.
  case decline

  /// The texts of `type`.
  public enum Kind: String, CaseIterable, Sendable, Codable {
    case network, join, welcome, pending, refused, peers, sync, locate, unreachable, standing, drain, leave, decline
    case relayKey = "relay-key"
    case nextKey = "next-key"
    case nextKeyAccepted = "next-key-accepted"
    case nextKeyRefused = "next-key-refused"
  }

  /// A message of which only the type has been parsed, so that its receiver can drop it before the expensive part.
  /// Valid only as long as its bytes.
  public struct Unread {
    /// `nil`: a type that this version does not know.
    public let kind: Kind?
    private let payload: UnsafeRawBufferPointer

    /// Throws unless the bytes are one unambiguous JSON object with a `type`.
    public init(_ payload: UnsafeRawBufferPointer) throws(WireError) {
      kind = Kind(rawValue: try JSONScan.type(of: payload))
      self.payload = payload
    }

    /// The message; `nil` for one of a type that this version does not know.
    public func read() throws(WireError) -> ControlMessage? {
      kind == nil ? nil : try JSON.decode(ControlMessage.self, payload)
    }
  }

  /// Reads a message; `nil` for one of a type that this version does not know.
  public static func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> ControlMessage? {
    try Unread(payload).read()
  }

  public static func decode(_ payload: [UInt8]) throws(WireError) -> ControlMessage? {
    let result = payload.withUnsafeBytes { bytes in Result { () throws(WireError) in try decode(bytes) } }
    return try result.get()
  }

  /// The message as JSON.
  public func encoded() -> [UInt8] { JSON.encode(self) }

  /// The message as a whole frame.
  public func frame(_ type: FrameType = .control) -> [UInt8] { FrameHeader.frame(type, payload: encoded()) }
}

extension ControlMessage: Codable {
  private enum Key: String, CodingKey { case type }

  public init(from decoder: any Decoder) throws {
    self =
      switch try decoder.container(keyedBy: Key.self).decode(Kind.self, forKey: .type) {
      case .network: .network(try NetworkNotice(from: decoder))
      case .join: .join(try JoinRequest(from: decoder))
      case .welcome: .welcome(try Welcome(checking: decoder))
      case .pending: .pending
      case .refused: .refused(try Refusal(from: decoder))
      case .peers: .peers(try PeerUpdate(from: decoder))
      case .sync: .sync
      case .locate: .locate(try Sought(from: decoder))
      case .unreachable: .unreachable(try Sought(from: decoder))
      case .standing: .standing(try Standing(from: decoder))
      case .relayKey: .relayKey(try KeyNotice(from: decoder))
      case .nextKey: .nextKey(try KeyNotice(from: decoder))
      case .nextKeyAccepted: .nextKeyAccepted(try KeyNotice(from: decoder))
      case .nextKeyRefused: .nextKeyRefused(try Refusal(from: decoder))
      case .drain: .drain
      case .leave: .leave
      case .decline: .decline
      }
  }

  public func encode(to encoder: any Encoder) throws {
    let (kind, body): (Kind, (any Encodable)?) =
      switch self {
      case .network(let body): (.network, body)
      case .join(let body): (.join, body)
      case .welcome(let body): (.welcome, body)
      case .pending: (.pending, nil)
      case .refused(let body): (.refused, body)
      case .peers(let body): (.peers, body)
      case .sync: (.sync, nil)
      case .locate(let body): (.locate, body)
      case .unreachable(let body): (.unreachable, body)
      case .standing(let body): (.standing, body)
      case .relayKey(let body): (.relayKey, body)
      case .nextKey(let body): (.nextKey, body)
      case .nextKeyAccepted(let body): (.nextKeyAccepted, body)
      case .nextKeyRefused(let body): (.nextKeyRefused, body)
      case .drain: (.drain, nil)
      case .leave: (.leave, nil)
      case .decline: (.decline, nil)
      }
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(kind, forKey: .type)
    try body?.encode(to: encoder)
  }
}
