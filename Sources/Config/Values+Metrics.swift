internal import Wire

extension ValueKind where Value == ServerAddress {
  /// Where a daemon gives its metrics out.
  public static var metricsListen: ValueKind {
    let rule = #"a port, or a numeric address with a port, such as 9834, 192.0.2.1:9834 or "[::1]:9834""#
    return ValueKind("a listen address", rule) { text in
      if text.isWholeNumber { return address(port: text, at: "127.0.0.1") }
      if ServerAddress.isIPv6(text) {
        return .refused("needs brackets and a port: \"[\(text)]:9834\"")
      }
      guard let parts = ServerAddress.split(text), isNumeric(parts) else { return .malformed }
      guard let port = parts.port else { return .refused("needs a port: \"\(text):9834\"") }
      return address(port: port, at: parts.host)
    }
  }

  private static func isNumeric(_ parts: ServerAddress.Parts) -> Bool {
    parts.hasBrackets ? ServerAddress.isIPv6(parts.host) : IPv4Address(parts.host) != nil
  }

  private static func address(port: String, at host: String) -> Reading {
    do throws(ValueError) {
      return .value(ServerAddress(host: host, port: try ValueKind<UInt16>.listenPort.parse(port)))
    } catch {
      return .refused("has a bad port: \(error.message)")
    }
  }
}

extension ValueKind where Value == Int {
  /// Up to how many peers each has series of its own.
  public static var metricsPeerLimit: ValueKind { wholeNumber("a number of peers", in: 0...10_000) }
}
