internal import FoundationEssentials

/// What two devices say to each other, as JSON with a `type` in a sealed frame of the kind `message`. Members that a reader does
/// not know are ignored, and so are whole messages of an unknown type.
public enum PeerMessage: Sendable, Equatable {
  /// Asks for the other's orchestration information. The answer is `orchestration`, or `unchanged` if its revision is `have`.
  case ask(have: Int?)
  /// The sender's, as an answer or because it has changed.
  case orchestration(Orchestration)
  case unchanged
  /// Asks for an answer with the same number: proof that the other is there, and a round trip measured.
  case echo(Int)
  case echoReply(Int)

  /// The longest message, in bytes of JSON.
  public static let maximumSize = Orchestration.maximumSize + 64
  /// What stands as the flow of frames with messages, so that they do not wait behind packets.
  public static let flow: UInt16 = 0xFFFF
}

extension PeerMessage {
  /// Reads a message; `nil` for one of a type that this version does not know. Throws if it is too long, no message,
  /// ambiguous JSON, or invalid orchestration information.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> PeerMessage? {
    guard bytes.count <= maximumSize else { throw .badMessage("longer than \(maximumSize) bytes") }
    guard try JSONScan(bytes).hasType else { throw .badMessage("type is missing") }
    let message: PeerMessage?
    do {
      message = try JSONDecoder().decode(Envelope.self, from: Data(bytes)).message
    } catch {
      throw .badMessage((error as? DecodingError)?.summary ?? "not JSON")
    }
    if case .orchestration(let information) = message, let problem = information.problem { throw .badMessage(problem) }
    return message
  }

  /// The message as JSON.
  public func encoded() -> [UInt8] {
    guard let data = try? ControlMessage.encoder.encode(Envelope(message: self)) else {
      preconditionFailure("every message of ours is valid JSON")
    }
    return Array(data)
  }
}

/// A message with its `type` member beside its own.
private struct Envelope: Codable {
  var message: PeerMessage?

  private enum Key: String, CodingKey { case type, have, number }

  init(message: PeerMessage) {
    self.message = message
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    message =
      switch try container.decode(String.self, forKey: .type) {
      case "ask": .ask(have: try container.decodeIfPresent(Int.self, forKey: .have))
      case "orchestration": .orchestration(try Orchestration(from: decoder))
      case "unchanged": .unchanged
      case "echo": .echo(try container.decode(Int.self, forKey: .number))
      case "echo-reply": .echoReply(try container.decode(Int.self, forKey: .number))
      default: nil
      }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch message {
    case .ask(let have):
      try container.encode("ask", forKey: .type)
      try container.encodeIfPresent(have, forKey: .have)
    case .orchestration(let information):
      try container.encode("orchestration", forKey: .type)
      try information.encode(to: encoder)
    case .unchanged:
      try container.encode("unchanged", forKey: .type)
    case .echo(let number):
      try container.encode("echo", forKey: .type)
      try container.encode(number, forKey: .number)
    case .echoReply(let number):
      try container.encode("echo-reply", forKey: .type)
      try container.encode(number, forKey: .number)
    case nil: preconditionFailure("an unknown message is never sent")
    }
  }
}
