internal import FoundationEssentials

// The local socket's protocol: one request and one answer a connection, each a JSON object on a line of its own.
//
//     {"command":"status","version":1}
//     {"result":{…},"version":1}      or      {"error":{"code":"denied","text":"…"},"version":1}

/// What a daemon can be asked for.
public enum ControlCommand: String, Codable, Sendable, CaseIterable {
  case status
  case peers
  case stop

  /// Whether any user of the host may ask. The rest is for root and for the user that the daemon runs as.
  public var isForEverybody: Bool {
    switch self {
    case .status, .peers: true
    case .stop: false
    }
  }
}

/// Why a request was not carried out.
public struct ControlError: Error, Codable, Sendable, Equatable, CustomStringConvertible {
  public enum Code: String, Codable, Sendable {
    /// The request is no request, or not one of this version.
    case badRequest = "bad-request"
    /// The user may not ask for this.
    case denied
    /// The daemon has too many to answer.
    case busy
  }

  public var code: Code
  public var text: String

  public init(_ code: Code, _ text: String) {
    self.code = code
    self.text = text
  }

  public var description: String { text }
}

struct ControlRequest: Codable {
  var version = 1
  var command: ControlCommand

  static let maximumSize = 4096

  init(_ command: ControlCommand) {
    self.command = command
  }

  init(parsing line: some Collection<UInt8>) throws(ControlError) {
    guard let any = try? JSONDecoder().decode(AnyRequest.self, from: Data(line)) else {
      throw ControlError(.badRequest, "a request is a JSON object with a version and a command")
    }
    guard any.version == 1 else { throw ControlError(.badRequest, "this daemon answers requests of version 1") }
    guard let command = ControlCommand(rawValue: any.command) else {
      let known = ControlCommand.allCases.map(\.rawValue).joined(separator: ", ")
      throw ControlError(.badRequest, "there is no such command; there are \(known)")
    }
    self.command = command
  }
}

/// A request of whatever version and command.
private struct AnyRequest: Decodable {
  var version: Int
  var command: String
}

struct ControlResponse<Result: Codable>: Codable {
  var version = 1
  var result: Result?
  var error: ControlError?
}

/// What a command that returns nothing returns.
public struct Done: Codable, Sendable, Equatable {
  public init() {}
}

/// The JSON of the suite: sorted snake_case keys, no spaces.
public enum JSON {
  public static func line(_ value: some Encodable) -> [UInt8] {
    encode(value, []) + [UInt8(ascii: "\n")]
  }

  /// For people to read as well.
  public static func pretty(_ value: some Encodable) -> String {
    String(decoding: encode(value, .prettyPrinted), as: UTF8.self)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: some Collection<UInt8>) -> Value? {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(type, from: Data(bytes))
  }

  private static func encode(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
    guard let data = try? encoder.encode(value) else { preconditionFailure("every report is valid JSON") }
    return Array(data)
  }
}
