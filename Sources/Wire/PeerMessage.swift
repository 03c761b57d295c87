/// A message between two devices: JSON with a `type` in a sealed frame of the kind `message`. A reader ignores members
/// that it does not know, and whole messages of an unknown type.
public enum PeerMessage: Sendable, Equatable {
  /// Asks for the peer's orchestration information. The answer is `orchestration`, or `unchanged` if its revision is
  /// `have`.
  case ask(have: Int?)
  /// The sender's information, as an answer or because it has changed.
  case orchestration(Orchestration)
  case unchanged
  /// Asks for an answer with the same number, which proves that the peer lives and measures the round trip.
  case echo(Int)
  case echoReply(Int)
  /// Addresses with ports (`192.0.2.1:40000`, `[2001:db8::1]:40000`) at which the sender may take direct connections,
  /// at most `maximumCandidates`.
  case candidates(tcp: [String])

  public static let maximumCandidates = 16

  /// The longest message, in bytes of JSON.
  public static let maximumSize = Orchestration.maximumSize + 64
  /// The flow in the headers of frames with messages, so that they do not wait behind packets.
  public static let flow: UInt16 = 0xFFFF

  /// Reads a message; `nil` for one of a type that this version does not know. Throws if it is too long, no message,
  /// ambiguous JSON, or invalid orchestration information.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> PeerMessage? {
    guard bytes.count <= maximumSize else { throw .badMessage("longer than \(maximumSize) bytes") }
    guard Kind(rawValue: try JSONScan.type(of: bytes)) != nil else { return nil }
    let message = try JSON.decode(PeerMessage.self, bytes)
    if case .candidates(let tcp) = message, tcp.count > maximumCandidates || tcp.contains(where: { $0.utf8.count > 64 })
    {
      throw .badMessage("more than \(maximumCandidates) candidates, or one that is too long")
    }
    if case .orchestration(let information) = message, let problem = information.problem { throw .badMessage(problem) }
    return message
  }

  /// The message as JSON.
  public func encoded() -> [UInt8] { JSON.encode(self) }
}

extension PeerMessage: Codable {
  private enum Key: String, CodingKey { case type, have, number, tcp }

  private enum Kind: String, Codable {
    case ask, orchestration, unchanged, echo, candidates
    case echoReply = "echo-reply"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    self =
      switch try container.decode(Kind.self, forKey: .type) {
      case .ask: .ask(have: try container.decodeIfPresent(Int.self, forKey: .have))
      case .orchestration: .orchestration(try Orchestration(from: decoder))
      case .unchanged: .unchanged
      case .echo: .echo(try container.decode(Int.self, forKey: .number))
      case .echoReply: .echoReply(try container.decode(Int.self, forKey: .number))
      case .candidates: .candidates(tcp: try container.decodeIfPresent([String].self, forKey: .tcp) ?? [])
      }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch self {
    case .ask(let have):
      try container.encode(Kind.ask, forKey: .type)
      try container.encodeIfPresent(have, forKey: .have)
    case .orchestration(let information):
      try container.encode(Kind.orchestration, forKey: .type)
      try information.encode(to: encoder)
    case .unchanged:
      try container.encode(Kind.unchanged, forKey: .type)
    case .echo(let number):
      try container.encode(Kind.echo, forKey: .type)
      try container.encode(number, forKey: .number)
    case .echoReply(let number):
      try container.encode(Kind.echoReply, forKey: .type)
      try container.encode(number, forKey: .number)
    case .candidates(let tcp):
      try container.encode(Kind.candidates, forKey: .type)
      try container.encode(tcp, forKey: .tcp)
    }
  }
}
