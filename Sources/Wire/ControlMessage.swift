internal import FoundationEssentials

// Control messages are JSON objects with a `type`. Members that a reader does not know are ignored, and so are whole
// messages of an unknown type: that is how the protocol grows.

/// The version of the protocol that this code speaks.
public let protocolVersion: UInt8 = 1

/// A message between a device and the relay, in a control frame but for the first two.
public enum ControlMessage: Sendable, Equatable {
  /// Relay to device, in the handshake's second message: the network that the device would join.
  case network(NetworkNotice)
  /// Device to relay, in the handshake's last message: asks to be let in.
  case join(JoinRequest)
  /// Relay to device, the answer to `join`; a further one changes the terms of the lease (a pool that has grown, another
  /// keepalive) but never its address.
  case welcome(Welcome)
  /// Relay to device, a first answer to `join`: an operator has to decide. `welcome` or `refused` follows, in a while.
  case pending
  /// Relay to device: the answer to `join`, or the last word before the connection ends.
  case refused(Refusal)
  /// Relay to device: who is there, or what has changed since.
  case peers(PeerUpdate)
  /// Device to relay: a revision is missing; asks for everything anew.
  case sync
  /// Device to relay: asks who has this address, or this label. The answer is `unreachable`, or an update that names the peer.
  case locate(Locate)
  /// Relay to device: nobody has this address, or this label, now.
  case unreachable(Unreachable)
  /// Relay to device: from now on the relay proves itself with this key.
  case relayKey(KeyNotice)
  /// Device to relay: the device will connect with this key from now on. The answer is `nextKeyAccepted` or
  /// `nextKeyRefused`; until it has connected with the new key, the relay takes either.
  case nextKey(KeyNotice)
  case nextKeyAccepted(KeyNotice)
  case nextKeyRefused(Refusal)
  /// Relay to device: the relay is about to end. The device takes no more packets from its host, and says the same back behind
  /// the last of its data; the connection closes once what is under way has been delivered.
  case drain
  /// Device to relay: goodbye.
  case leave
  /// Device to relay: the device does not take the lease of its first `welcome`, and the connection ends. The relay
  /// undoes the admission if this connection caused it.
  case decline
}

// MARK: - JSON

extension ControlMessage {
  /// The message as a whole frame.
  public func frame(_ type: FrameType = .control) -> [UInt8] {
    let payload = encoded()
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes { FrameHeader(type: type, length: payload.count).write(to: $0) }
    return frame + payload
  }

  /// Reads a message; `nil` for one of a type that this version does not know.
  public static func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> ControlMessage? {
    try Unread(payload).read()
  }

  public static func decode(_ payload: [UInt8]) throws(WireError) -> ControlMessage? {
    let result = payload.withUnsafeBytes { bytes in Result { () throws(WireError) in try decode(bytes) } }
    return try result.get()
  }

  /// A message of which only the type has been parsed: its receiver can drop it before the expensive part. To be used
  /// within the life of its bytes.
  public struct Unread {
    public let kind: Kind?
    private let payload: UnsafeRawBufferPointer

    /// Throws unless the bytes are one unambiguous JSON object with a `type`.
    public init(_ payload: UnsafeRawBufferPointer) throws(WireError) {
      let scan = try JSONScan(payload)
      guard let type = scan.type else {
        throw .badMessage(scan.hasType ? "type is not as it should be" : "type is missing")
      }
      kind = Kind(rawValue: type)
      self.payload = payload
    }

    /// The message; `nil` for one of a type that this version does not know.
    public func read() throws(WireError) -> ControlMessage? {
      switch kind {
      case nil: return nil
      case .pending: return .pending
      case .sync: return .sync
      case .drain: return .drain
      case .leave: return .leave
      case .decline: return .decline
      default: break
      }
      do {
        return try JSONDecoder().decode(Envelope.self, from: Data(payload)).message
      } catch let error as DecodingError {
        throw .badMessage(error.summary)
      } catch {
        throw .badMessage("not JSON")
      }
    }
  }

  /// The texts of `type`.
  public enum Kind: String, CaseIterable, Sendable, Codable {
    case network, join, welcome, pending, refused, peers, sync, locate, unreachable, drain, leave, decline
    case relayKey = "relay-key"
    case nextKey = "next-key"
    case nextKeyAccepted = "next-key-accepted"
    case nextKeyRefused = "next-key-refused"
  }

  static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  /// The message as JSON.
  public func encoded() -> [UInt8] {
    guard let data = try? Self.encoder.encode(Envelope(message: self)) else {
      preconditionFailure("every message of ours is valid JSON")
    }
    return Array(data)
  }
}

/// A message with its `type` member beside its own.
private struct Envelope: Codable {
  var message: ControlMessage

  private enum Key: String, CodingKey { case type }

  init(message: ControlMessage) {
    self.message = message
  }

  init(from decoder: any Decoder) throws {
    message =
      switch try decoder.container(keyedBy: Key.self).decode(ControlMessage.Kind.self, forKey: .type) {
      case .network: .network(try NetworkNotice(from: decoder))
      case .join: .join(try JoinRequest(from: decoder))
      case .welcome: .welcome(try Welcome(from: decoder))
      case .refused: .refused(try Refusal(from: decoder))
      case .peers: .peers(try PeerUpdate(from: decoder))
      case .sync: .sync
      case .pending: .pending
      case .locate: .locate(try Locate(from: decoder))
      case .unreachable: .unreachable(try Unreachable(from: decoder))
      case .relayKey: .relayKey(try KeyNotice(from: decoder))
      case .nextKey: .nextKey(try KeyNotice(from: decoder))
      case .nextKeyAccepted: .nextKeyAccepted(try KeyNotice(from: decoder))
      case .nextKeyRefused: .nextKeyRefused(try Refusal(from: decoder))
      case .drain: .drain
      case .leave: .leave
      case .decline: .decline
      }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    let (type, body): (ControlMessage.Kind, (any Encodable)?) =
      switch message {
      case .network(let body): (.network, body)
      case .join(let body): (.join, body)
      case .welcome(let body): (.welcome, body)
      case .pending: (.pending, nil)
      case .refused(let body): (.refused, body)
      case .peers(let body): (.peers, body)
      case .sync: (.sync, nil)
      case .locate(let body): (.locate, body)
      case .unreachable(let body): (.unreachable, body)
      case .relayKey(let body): (.relayKey, body)
      case .nextKey(let body): (.nextKey, body)
      case .nextKeyAccepted(let body): (.nextKeyAccepted, body)
      case .nextKeyRefused(let body): (.nextKeyRefused, body)
      case .drain: (.drain, nil)
      case .leave: (.leave, nil)
      case .decline: (.decline, nil)
      }
    try container.encode(type, forKey: .type)
    try body?.encode(to: encoder)
  }
}

extension DecodingError {
  /// One line for a log: where, and what was expected.
  var summary: String {
    switch self {
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      return "a number does not fit"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
      return path.isEmpty ? "not a JSON object" : "\(path) is not as it should be"
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    @unknown default: return "not as it should be"
    }
  }
}
