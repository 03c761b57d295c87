internal import FoundationEssentials

// Control messages are JSON objects with a `type`. Members that a reader does not know are ignored, and so are whole
// messages of an unknown type: that is how the protocol grows.

/// The version of the protocol that this code speaks.
public let protocolVersion = 1

/// A message between a device and the relay, in a handshake or a control frame.
public enum ControlMessage: Sendable, Equatable {
  /// Device to relay, the first frame: asks to be let in.
  case join(JoinRequest)
  /// Relay to device, the answer to `join`.
  case welcome(Welcome)
  /// Relay to device: the answer to `join`, or the last word before the connection ends.
  case refused(Refusal)
  /// Relay to device: who is there, or what has changed since.
  case peers(PeerUpdate)
  /// Device to relay: a revision is missing; asks for everything anew.
  case sync
  /// Relay to device: nobody has this address now.
  case unreachable(Unreachable)
  /// Device to relay: goodbye.
  case leave
}

public struct JoinRequest: Codable, Sendable, Equatable {
  /// The protocol versions that the device speaks.
  public var versions: [Int]
  public var deviceID: String
  /// Random and new in every process: a session of the same instance is replaced without asking whether it lives.
  public var instance: String
  /// The address that the device would like, because it had it before or its config says so.
  public var address: IPv4Address?
  /// Whether another address will not do.
  public var addressRequired: Bool?

  public init(
    versions: [Int] = [protocolVersion], deviceID: String, instance: String, address: IPv4Address? = nil,
    addressRequired: Bool? = nil
  ) {
    self.versions = versions
    self.deviceID = deviceID
    self.instance = instance
    self.address = address
    self.addressRequired = addressRequired
  }
}

public struct Welcome: Codable, Sendable, Equatable {
  public var version: Int
  /// The device's lease.
  public var address: IPv4Address
  /// The pool that it is from.
  public var pool: IPv4Prefix
  /// The relay host's own virtual address.
  public var relayAddress: IPv4Address
  /// After this silence, in milliseconds, either side asks for a sign of life; after three of them the other is dead.
  public var keepalive: Int

  public init(version: Int, address: IPv4Address, pool: IPv4Prefix, relayAddress: IPv4Address, keepalive: Int) {
    self.version = version
    self.address = address
    self.pool = pool
    self.relayAddress = relayAddress
    self.keepalive = keepalive
  }
}

public struct Refusal: Codable, Sendable, Equatable, Error {
  /// Why a device is not let in, or a session ended. An unknown code is read as `other`.
  public enum Code: String, Codable, Sendable {
    case badRequest = "bad-request"
    case unsupportedVersion = "unsupported-version"
    case poolFull = "pool-full"
    case addressTaken = "address-taken"
    case deviceIDTaken = "device-id-taken"
    case sessionReplaced = "session-replaced"
    case protocolError = "protocol-error"
    case silent = "silent"
    case shuttingDown = "shutting-down"
    case other

    public init(from decoder: any Decoder) throws {
      self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
    }
  }

  public var code: Code
  /// For people.
  public var text: String

  /// A long `text`, which may quote what the other end sent, is cut so that the refusal always fits a handshake frame, and
  /// what is no visible character becomes a space, since it ends up on terminals and in logs.
  public init(_ code: Code, _ text: String) {
    self.code = code
    let scalars = text.unicodeScalars.prefix(Self.maximumText).map { $0.properties.isVisible ? $0 : " " }
    self.text = String(String.UnicodeScalarView(scalars))
  }

  /// Both members come from a stranger.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(try container.decode(Code.self, forKey: .code), try container.decode(String.self, forKey: .text))
  }

  /// In Unicode scalars, of which each takes at most 6 bytes in JSON.
  public static let maximumText = 500
}

public struct Peer: Codable, Sendable, Equatable {
  public var address: IPv4Address
  public var deviceID: String

  public init(address: IPv4Address, deviceID: String) {
    self.address = address
    self.deviceID = deviceID
  }
}

public struct PeerUpdate: Codable, Sendable, Equatable {
  /// The revision that this leads to.
  public var revision: Int
  /// The revision that it builds on; absent: forget what was known, this is everything (or the first part of it).
  public var since: Int?
  public var joined: [Peer]
  public var left: [IPv4Address]

  public init(revision: Int, since: Int?, joined: [Peer], left: [IPv4Address] = []) {
    self.revision = revision
    self.since = since
    self.joined = joined
    self.left = left
  }

  /// As many of each as surely fit one message together, whatever the IDs.
  public static let maximumPeers = 500
  public static let maximumLeft = 1000
}

public struct Unreachable: Codable, Sendable, Equatable {
  public var address: IPv4Address

  public init(address: IPv4Address) {
    self.address = address
  }
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
    do {
      return try JSONDecoder().decode(Envelope.self, from: Data(payload)).message
    } catch let error as DecodingError {
      throw .badMessage(error.summary)
    } catch {
      throw .badMessage("not JSON")
    }
  }

  func encoded() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(Envelope(message: self)) else {
      preconditionFailure("every message of ours is valid JSON")
    }
    return Array(data)
  }
}

/// A message with its `type` member beside its own.
private struct Envelope: Codable {
  var message: ControlMessage?

  private enum Key: String, CodingKey { case type }

  init(message: ControlMessage) {
    self.message = message
  }

  init(from decoder: any Decoder) throws {
    let type = try decoder.container(keyedBy: Key.self).decode(String.self, forKey: .type)
    message =
      switch type {
      case "join": .join(try JoinRequest(from: decoder))
      case "welcome": .welcome(try Welcome(from: decoder))
      case "refused": .refused(try Refusal(from: decoder))
      case "peers": .peers(try PeerUpdate(from: decoder))
      case "sync": .sync
      case "unreachable": .unreachable(try Unreachable(from: decoder))
      case "leave": .leave
      default: nil
      }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch message {
    case .join(let body):
      try container.encode("join", forKey: .type)
      try body.encode(to: encoder)
    case .welcome(let body):
      try container.encode("welcome", forKey: .type)
      try body.encode(to: encoder)
    case .refused(let body):
      try container.encode("refused", forKey: .type)
      try body.encode(to: encoder)
    case .peers(let body):
      try container.encode("peers", forKey: .type)
      try body.encode(to: encoder)
    case .sync:
      try container.encode("sync", forKey: .type)
    case .unreachable(let body):
      try container.encode("unreachable", forKey: .type)
      try body.encode(to: encoder)
    case .leave:
      try container.encode("leave", forKey: .type)
    case nil:
      preconditionFailure("an unknown message is never sent")
    }
  }
}

extension Unicode.Scalar.Properties {
  /// Neither a control, nor a format character that changes how others are shown, nor a line's end.
  fileprivate var isVisible: Bool {
    switch generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
    default: true
    }
  }
}

extension Welcome {
  /// Whether a device can do with it: a network of hosts, from /8 to /30, with both addresses in it, neither of them the
  /// network's own or its broadcast address.
  public var isPlausible: Bool {
    (8...30).contains(pool.length) && pool.network.specialUse == nil && pool.broadcast.specialUse == nil
      && [address, relayAddress].allSatisfy { pool.contains($0) && $0 != pool.network && $0 != pool.broadcast }
  }
}

extension JoinRequest {
  private enum CodingKeys: String, CodingKey {
    case versions, instance, address
    case deviceID = "device_id"
    case addressRequired = "address_required"
  }
}

extension Welcome {
  private enum CodingKeys: String, CodingKey {
    case version, address, pool
    case relayAddress = "relay_address"
    case keepalive = "keepalive_ms"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    version = try container.decode(Int.self, forKey: .version)
    address = try container.decode(IPv4Address.self, forKey: .address)
    pool = try container.decode(IPv4Prefix.self, forKey: .pool)
    relayAddress = try container.decode(IPv4Address.self, forKey: .relayAddress)
    keepalive = try container.decode(Int.self, forKey: .keepalive)
    guard Self.keepaliveRange.contains(keepalive) else {
      throw DecodingError.dataCorruptedError(
        forKey: .keepalive, in: container, debugDescription: "not within \(Self.keepaliveRange)")
    }
  }

  /// What `keepalive` may be: less would spin a timer, more would never find a dead peer.
  private static let keepaliveRange = 1...86_400_000
}

extension Peer {
  private enum CodingKeys: String, CodingKey {
    case address
    case deviceID = "device_id"
  }
}

extension IPv4Address: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decodeText(decoder, "an IPv4 address")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPv4Prefix: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decodeText(decoder, "an IPv4 prefix")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

private func decodeText<Value: LosslessStringConvertible>(_ decoder: any Decoder, _ what: String) throws -> Value {
  let container = try decoder.singleValueContainer()
  let text = try container.decode(String.self)
  guard let value = Value(text) else {
    throw DecodingError.dataCorruptedError(in: container, debugDescription: "not \(what)")
  }
  return value
}

extension DecodingError {
  /// One line for a log: where, and what was expected.
  fileprivate var summary: String {
    switch self {
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      // The decoder does not say which.
      return "not JSON, or a number that does not fit"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
      return path.isEmpty ? "not a JSON object" : "\(path) is not as it should be"
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    @unknown default: return "not as it should be"
    }
  }
}
