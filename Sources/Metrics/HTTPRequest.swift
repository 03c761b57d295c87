/// The head of an HTTP request (RFC 9112), as far as a server of one page needs it. No I/O.
public struct HTTPRequest: Sendable, Equatable {
  public var method: String
  /// Without the query behind `?`.
  public var path: String
  /// By name in lower case; values of the same name are joined by commas.
  public var fields: [String: String]

  public init(method: String, path: String, fields: [String: String]) {
    self.method = method
    self.path = path
    self.fields = fields
  }

  /// In bytes; a longer head is refused.
  public static let maximumHead = 8192

  public enum Reading: Sendable, Equatable {
    case incomplete
    case request(HTTPRequest)
    /// The error, as an HTTP status.
    case refused(HTTPStatus)
  }

  /// Reads the head at the beginning of `bytes`, and ignores what follows.
  public static func read(_ bytes: [UInt8]) -> Reading {
    guard let head = head(of: bytes.prefix(maximumHead)) else {
      return bytes.count < maximumHead ? .incomplete : .refused(.headTooLarge)
    }
    guard let lines = lines(of: head), let first = lines.first else { return .refused(.badRequest) }
    let words = first.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, !words[0].isEmpty, words[0].utf8.allSatisfy(isTokenByte), words[2].hasPrefix("HTTP/"),
      let path = path(of: words[1])
    else {
      return .refused(.badRequest)
    }
    guard words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else { return .refused(.versionNotSupported) }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), colon != line.startIndex,
        line[..<colon].utf8.allSatisfy(isTokenByte)
      else {
        return .refused(.badRequest)
      }
      let (name, value) = (line[..<colon].lowercased(), trimmed(line[line.index(after: colon)...]))
      fields[name] = fields[name].map { "\($0),\(value)" } ?? value
    }
    guard words[2] == "HTTP/1.0" || fields["host"] != nil else { return .refused(.badRequest) }
    return .request(HTTPRequest(method: String(words[0]), path: path, fields: fields))
  }

  /// The bytes before the empty line; `nil` if there is none yet.
  private static func head(of bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    var lineStart = bytes.startIndex
    for index in bytes.indices where bytes[index] == UInt8(ascii: "\n") {
      let line = bytes[lineStart..<index]
      // An empty line before the request line is skipped, as the RFC wants it.
      if line.isEmpty || line.elementsEqual([UInt8(ascii: "\r")]), lineStart != bytes.startIndex {
        return bytes[..<lineStart]
      }
      lineStart = index + 1
    }
    return nil
  }

  /// `nil` if a byte may not be in a head.
  private static func lines(of head: ArraySlice<UInt8>) -> [String]? {
    let lines = head.split(separator: UInt8(ascii: "\n")).map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
    guard lines.allSatisfy({ $0.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") } }) else {
      return nil
    }
    return lines.filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }
  }

  /// Of `/metrics?x`, or of `http://host/metrics`.
  private static func path(of target: Substring) -> String? {
    var rest = target.prefix { $0 != "?" && $0 != "#" }
    if !rest.hasPrefix("/") {
      guard rest.lowercased().hasPrefix("http://") else { return nil }
      rest = rest.dropFirst("http://".count)
      rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    }
    return String(rest)
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7F && !#"(),/:;<=>?@[\]{}""#.utf8.contains(byte)
  }
}

/// The status of an answer.
public enum HTTPStatus: Int, Sendable {
  case ok = 200
  case badRequest = 400
  case notFound = 404
  case methodNotAllowed = 405
  case headTooLarge = 431
  case versionNotSupported = 505

  public var reason: String {
    switch self {
    case .ok: "OK"
    case .badRequest: "Bad Request"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .headTooLarge: "Request Header Fields Too Large"
    case .versionNotSupported: "HTTP Version Not Supported"
    }
  }
}

/// The text without spaces and tabs around it.
func trimmed(_ text: some StringProtocol) -> String {
  func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
  let bytes = Array(text.utf8.drop(while: isBlank))
  guard let last = bytes.lastIndex(where: { !isBlank($0) }) else { return "" }
  return String(decoding: bytes[...last], as: UTF8.self)
}
