internal import Wire

/// A host and a TCP port: the address of a relay for its devices, or an address to listen on.
public struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
  /// The port of a relay if none is given.
  public static let defaultPort: UInt16 = 3334

  /// A name or a numeric address. An IPv6 address has no brackets, and may have a zone (`fe80::1%eth0`).
  public var host: String
  public var port: UInt16

  public init(host: String, port: UInt16 = defaultPort) {
    self.host = host
    self.port = port
  }

  /// Reads a text such as `relay.example`, `192.0.2.1:3334` or `[2001:db8::1]:3334`, as the key `server` does.
  public init(parsing text: String) throws(ValueError) {
    self = try ValueKind.server.parse(text)
  }

  /// Always with the port, an IPv6 address in brackets.
  public var description: String {
    isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  public var isIPv6: Bool { Self.isIPv6(host) }

  /// Whether only programs of the same host can connect.
  public var isLoopback: Bool {
    if let address = IPv4Address(host) { return address.bits >> 24 == 127 }
    return host == "localhost" || IPv6Address(host)?.bits == 1
  }

  /// Whether it is an address that is valid only in a private network.
  public var isPrivate: Bool { IPv4Address(host)?.isPrivate ?? IPv6Address(host)?.isPrivate ?? false }
}

extension ServerAddress {
  /// Host and port of a text.
  struct Parts {
    var host: String
    /// `nil` if none is given.
    var port: String?
    var hasBrackets = false
  }

  /// Splits `host`, `host:port`, `[host]` or `[host]:port`. `nil` for any other text.
  static func split(_ text: String) -> Parts? {
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { return nil }
      let host = String(text[..<close].dropFirst())
      let rest = text[close...].dropFirst()
      guard !rest.isEmpty else { return Parts(host: host, hasBrackets: true) }
      return rest.first == ":" ? Parts(host: host, port: String(rest.dropFirst()), hasBrackets: true) : nil
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2 else { return nil }
    return Parts(host: String(parts[0]), port: parts.count == 2 ? String(parts[1]) : nil)
  }

  /// RFC 4291, section 2.2, with a zone as of RFC 4007, section 11.
  static func isIPv6(_ text: String) -> Bool {
    let zoned = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    if zoned.count == 2 {
      guard (1...15).contains(zoned[1].utf8.count), zoned[1].utf8.allSatisfy({ isNameByte($0) || $0.isOne(of: ".") })
      else {
        return false
      }
    }
    let halves = zoned[0].split(separator: "::", omittingEmptySubsequences: false)
    switch halves.count {
    case 1: return groups(halves[0], mayEndInIPv4: true) == 8
    case 2:
      guard let left = groups(halves[0], mayEndInIPv4: false), let right = groups(halves[1], mayEndInIPv4: true) else {
        return false
      }
      return left + right < 8
    default: return false
    }
  }

  /// The number of 16-bit groups in `a:b:c`. An IPv4 address at the end counts as two. `nil` if there is a mistake.
  private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> Int? {
    guard !text.isEmpty else { return 0 }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let endsInIPv4 = mayEndInIPv4 && IPv4Address(String(parts[parts.count - 1])) != nil
    for part in endsInIPv4 ? parts.dropLast() : parts[...] {
      guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(\.isHexDigit) else { return nil }
    }
    return parts.count + (endsInIPv4 ? 1 : 0)
  }

  /// RFC 1123, section 2.1, and the underscore that container networks put into names. A name whose last label is a
  /// number is a mistyped IPv4 address.
  static func isName(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    let labels = (text.hasSuffix(".") ? text.dropLast() : text[...]).split(
      separator: ".", omittingEmptySubsequences: false)
    guard let last = labels.last, !last.utf8.allSatisfy(\.isDigit) else { return false }
    return labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.utf8.allSatisfy(isNameByte) && label.first != "-"
        && label.last != "-"
    }
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    byte.isAlphanumeric || byte.isOne(of: "-_")
  }
}
