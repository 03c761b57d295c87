internal import FoundationEssentials

// The local socket's protocol: one request and one answer a connection, each a JSON object on a line of its own.
//
//     {"command":"status","version":1}
//     {"result":{…},"version":1}      or      {"error":{"code":"denied","text":"…"},"version":1}
//
// The answer to `subscribe` has no end: one line per event, see `PeerEventReport`, or one line with an error.

/// Why the daemon did not carry a request out.
public struct ControlError: Error, Codable, Sendable, Equatable, CustomStringConvertible {
  public enum Code: String, Codable, Sendable {
    /// The request is malformed, or not of this version.
    case badRequest = "bad-request"
    /// The user may not give this command.
    case denied
    /// The daemon has too many requests to answer.
    case busy
    /// This daemon does not have the command; the suite's other daemon has it.
    case unsupported
    /// What the request names does not exist.
    case notFound = "not-found"
    /// The configuration file cannot be read or is wrong.
    case badConfiguration = "bad-configuration"
    /// The daemon tried, and failed.
    case failed
  }

  public var code: Code
  public var text: String

  public init(_ code: Code, _ text: String) {
    self.code = code
    self.text = text
  }

  public var description: String { text }

  /// The server sends it before it reads the request, so the client can send the request again.
  static let tooMany = ControlError(.busy, "too many programs ask at once; try again")
}

struct ControlResponse<Result: Codable>: Codable {
  private(set) var version = JSONVersion()
  var result: Result?
  var error: ControlError?

  init(result: Result? = nil, error: ControlError? = nil) {
    self.result = result
    self.error = error
  }

  var line: [UInt8] {
    guard let result = result as? any JSONWritable else { return JSON.line(self) }
    var json = JSONWriter()
    json.object { json in
      json.member("result", result)
      json.member("version", version)
    }
    return json.bytes + [UInt8(ascii: "\n")]
  }
}

/// The answer to a command that returns nothing.
public struct Done: Codable, Sendable, Equatable {
  public init() {}
}

/// The version of an answer's or event's JSON: always 1. Another one fails to decode.
public struct JSONVersion: Codable, Sendable, Equatable, JSONWritable {
  private static let current = 1

  init() {}

  public init(from decoder: any Decoder) throws {
    let version = try decoder.singleValueContainer()
    guard try version.decode(Int.self) == Self.current else {
      throw DecodingError.dataCorruptedError(in: version, debugDescription: "not version \(Self.current)")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Self.current)
  }

  func write(to json: inout JSONWriter) { Self.current.write(to: &json) }
}

/// The JSON of the suite: sorted snake_case keys, no spaces.
public enum JSON {
  public static func line(_ value: some Encodable) -> [UInt8] {
    encode(value, []) + [UInt8(ascii: "\n")]
  }

  /// Indented, for people.
  public static func pretty(_ value: some Encodable) -> String {
    String(decoding: encode(value, .prettyPrinted), as: UTF8.self)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: some Collection<UInt8>) -> Value? {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(type, from: Data(bytes))
  }

  private static func encode(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) -> [UInt8] {
    if let value = value as? any JSONWritable {
      var json = JSONWriter(isPretty: formatting.contains(.prettyPrinted))
      value.write(to: &json)
      return json.bytes
    }
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
    guard let data = try? encoder.encode(value) else { preconditionFailure("every report is valid JSON") }
    return Array(data)
  }
}
