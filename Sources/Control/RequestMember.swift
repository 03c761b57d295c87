internal import FoundationEssentials

/// A member of a request: how its value is checked, read and written.
struct RequestMember<Value>: Sendable {
  let name: String
  /// Takes the value out of a request. Throws if it is missing, or not what it must be.
  let read: @Sendable (inout RequestMembers) throws(ControlError) -> Value
  let write: @Sendable (Value, inout RequestContainer) throws -> Void

  /// The member as another value. `other` may refuse.
  private func map<Other>(
    _ other: @escaping @Sendable (Value) throws(ControlError) -> Other, _ value: @escaping @Sendable (Other) -> Value
  ) -> RequestMember<Other> {
    RequestMember<Other>(name: name) { members throws(ControlError) in
      try other(try read(&members))
    } write: { other, container in
      try write(value(other), &container)
    }
  }

  /// A member that may be absent. `what` says what it must be, and `isRight` whether it is.
  static func optional<Content: Codable & SendableMetatype>(
    _ name: String, _ what: String, _ isRight: @escaping @Sendable (Content) -> Bool = { _ in true }
  ) -> Self where Value == Content? {
    Self(name: name) { members throws(ControlError) in
      try members.take(name, what, isRight)
    } write: { value, container in
      try container.encodeIfPresent(value, forKey: MemberName(stringValue: name))
    }
  }

  /// A member that is absent when it has the value `standard`.
  static func value(
    _ name: String, _ what: String, or standard: Value, _ isRight: @escaping @Sendable (Value) -> Bool = { _ in true }
  ) -> Self where Value: Codable & Equatable & Sendable {
    RequestMember<Value?>.optional(name, what, isRight).map({ $0 ?? standard }, { $0 == standard ? nil : $0 })
  }
}

extension RequestMember<Int> {
  static func number(_ name: String, in range: ClosedRange<Int>, or standard: Int) -> Self {
    RequestMember<Int?>.optional(name, "a whole number from \(range.lowerBound) to \(range.upperBound)") {
      range.contains($0)
    }.map({ $0 ?? standard }, { $0 })
  }

  /// Milliseconds that a command may wait for peers.
  static var askTime: Self { number("within_ms", in: ControlCommand.askRange, or: ControlCommand.defaultAsk) }
}

extension RequestMember<Bool> {
  static func flag(_ name: String) -> Self { value(name, "true or false", or: false) }
}

extension RequestMember<String?> {
  static func optionalText(_ name: String) -> Self {
    optional(name, "a text of 1 to \(ControlCommand.textLength.upperBound) bytes") {
      ControlCommand.textLength.contains($0.utf8.count)
    }
  }
}

extension RequestMember<String> {
  static func text(_ name: String) -> Self {
    RequestMember<String?>.optionalText(name).map(
      { text throws(ControlError) in
        guard let text else { throw ControlError(.badRequest, "the member \(name) is missing") }
        return text
      }, { $0 })
  }
}

extension RequestMember<[String]> {
  static func texts(_ name: String) -> Self {
    value(name, "a list of texts of 1 to \(ControlCommand.textLength.upperBound) bytes each", or: []) {
      $0.allSatisfy { ControlCommand.textLength.contains($0.utf8.count) }
    }
  }
}

typealias RequestContainer = KeyedEncodingContainer<MemberName>

/// The name of a request's member.
struct MemberName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// The members of a request, each taken once.
struct RequestMembers {
  private let container: KeyedDecodingContainer<MemberName>
  private var left: Set<String>

  /// `nil` unless the line is a JSON object.
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

  /// The names of members not taken, sorted, short and printable.
  var rest: [String] {
    left.sorted().map { name in
      String(name.unicodeScalars.prefix(40).map { ("!"..."~").contains($0) ? Character($0) : "?" })
    }
  }

  /// The member, or `nil` if it is absent. Throws unless it is a `Value` that `isRight`.
  mutating func take<Value: Decodable>(
    _ name: String, _ what: String, _ isRight: (Value) -> Bool = { _ in true }
  ) throws(ControlError) -> Value? {
    guard left.remove(name) != nil else { return nil }
    guard let value = try? container.decode(Value.self, forKey: MemberName(stringValue: name)), isRight(value) else {
      throw ControlError(.badRequest, "\(name) is \(what)")
    }
    return value
  }
}
