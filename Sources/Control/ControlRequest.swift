internal import FoundationEssentials

/// A request as it goes over the socket.
struct ControlRequest: Encodable {
  let command: ControlCommand

  /// In bytes, without the end of the line: the longest is `announce` with all that one device can tell.
  static let maximumSize = 32 << 10

  init(_ command: ControlCommand) {
    self.command = command
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: MemberName.self)
    try container.encode(1, forKey: "version")
    try container.encode(command.name.rawValue, forKey: "command")
    try command.encode(to: &container)
  }

  /// Throws `badRequest`, with what would be right.
  init(parsing line: some Collection<UInt8>) throws(ControlError) {
    guard var members = RequestMembers(line), let name = try? members.text("command"),
      let version = try? members.number("version", in: .min ... .max)
    else {
      throw ControlError(.badRequest, "a request is a JSON object with a version and a command")
    }
    guard version == 1 else { throw ControlError(.badRequest, "this daemon answers requests of version 1") }
    guard let name = ControlCommand.Name(rawValue: name) else {
      let known = ControlCommand.Name.allCases.map(\.rawValue).joined(separator: ", ")
      throw ControlError(.badRequest, "there is no such command; there are \(known)")
    }
    command = try ControlCommand(name, &members)
    if let other = members.rest.first {
      throw ControlError(.badRequest, "a request for \(name.rawValue) has no member \(other)")
    }
  }
}

/// The name of a request's member.
struct MemberName: CodingKey, ExpressibleByStringLiteral {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init(stringLiteral value: String) { stringValue = value }
  init?(intValue: Int) { nil }
}

/// The members of a request, each taken once and checked as it is.
struct RequestMembers {
  private let container: KeyedDecodingContainer<MemberName>
  private var left: Set<String>

  /// Longer texts are none of ours.
  static let maximumText = 255

  /// `nil` unless it is a JSON object.
  init?(_ line: some Collection<UInt8>) {
    guard let content = try? JSONDecoder().decode(Content.self, from: Data(line)) else { return nil }
    container = content.container
    left = Set(container.allKeys.map(\.stringValue))
  }

  private struct Content: Decodable {
    let container: KeyedDecodingContainer<MemberName>

    init(from decoder: any Decoder) throws {
      container = try decoder.container(keyedBy: MemberName.self)
    }
  }

  /// The names that nobody has asked for, in order and fit to be shown.
  var rest: [String] {
    left.sorted().map { name in
      String(name.unicodeScalars.prefix(40).map { ("!"..."~").contains($0) ? Character($0) : "?" })
    }
  }

  /// The member, which is `what`; `nil` if it is absent.
  mutating func value<Value: Decodable>(_ name: MemberName, _ what: String) throws(ControlError) -> Value? {
    try take(name, what)
  }

  private mutating func take<Value: Decodable>(_ name: MemberName, _ what: String) throws(ControlError) -> Value? {
    guard left.remove(name.stringValue) != nil else { return nil }
    guard let value = try? container.decode(Value.self, forKey: name) else {
      throw ControlError(.badRequest, "\(name.stringValue) is \(what)")
    }
    return value
  }

  mutating func number(_ name: MemberName, in range: ClosedRange<Int>) throws(ControlError) -> Int? {
    let what = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let number: Int = try take(name, what) else { return nil }
    guard range.contains(number) else { throw ControlError(.badRequest, "\(name.stringValue) is \(what)") }
    return number
  }

  /// False if it is absent.
  mutating func flag(_ name: MemberName) throws(ControlError) -> Bool {
    try take(name, "true or false") ?? false
  }

  mutating func optionalText(_ name: MemberName) throws(ControlError) -> String? {
    let what = "a text of 1 to \(Self.maximumText) bytes"
    guard let text: String = try take(name, what) else { return nil }
    guard (1...Self.maximumText).contains(text.utf8.count) else {
      throw ControlError(.badRequest, "\(name.stringValue) is \(what)")
    }
    return text
  }

  mutating func text(_ name: MemberName) throws(ControlError) -> String {
    guard let text = try optionalText(name) else {
      throw ControlError(.badRequest, "the member \(name.stringValue) is missing")
    }
    return text
  }

  mutating func texts(_ name: MemberName) throws(ControlError) -> [String] {
    let what = "a list of texts of 1 to \(Self.maximumText) bytes each"
    guard let texts: [String] = try take(name, what) else { return [] }
    guard texts.allSatisfy({ (1...Self.maximumText).contains($0.utf8.count) }) else {
      throw ControlError(.badRequest, "\(name.stringValue) is \(what)")
    }
    return texts
  }
}
