/// Another protocol, recognised by its first bytes: the address or the port is wrong, or a program in between speaks
/// it.
public enum ForeignProtocol: Sendable, Equatable {
  /// The header that a load balancer sends before a forwarded connection's bytes (haproxy's proxy-protocol.txt).
  case proxy(version: Int)
  case http
  /// A handshake record, or an alert (RFC 8446, section 5.1).
  case tls
  case ssh
  /// The beginning of a line of visible ASCII characters.
  case text(String)

  private static let proxyHeader = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
  private static let requests = [
    "GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE ", "PRI ", "HTTP/",
  ]
  /// How many characters of a line are shown, and how many it must have at least.
  private static let textLength = 4...40

  /// `nil`: no protocol of this list begins with these bytes.
  public init?(_ start: RawSpan) {
    let bytes = (0..<min(start.byteCount, 64)).map { start.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    func begins(_ text: String) -> Bool { bytes.starts(with: text.utf8) }
    if begins("PROXY ") {
      self = .proxy(version: 1)
    } else if bytes.starts(with: Self.proxyHeader) {
      self = .proxy(version: 2)
    } else if Self.requests.contains(where: begins) {
      self = .http
    } else if begins("SSH-") {
      self = .ssh
    } else if bytes.count >= 3, bytes[0] == 0x15 || bytes[0] == 0x16, bytes[1] == 3, bytes[2] <= 4 {
      self = .tls
    } else {
      let line = bytes.prefix { (0x20...0x7E).contains($0) }.prefix(Self.textLength.upperBound)
      guard line.count >= Self.textLength.lowerBound else { return nil }
      self = .text(String(decoding: line, as: UTF8.self))
    }
  }

  /// For people.
  public var name: String {
    switch self {
    case .proxy(let version): "a PROXY protocol header (version \(version))"
    case .http: "HTTP"
    case .tls: "TLS"
    case .ssh: "SSH"
    case .text(let line): "text (“\(line)”)"
    }
  }

  /// What to change if a relay receives it.
  public var adviceAtRelay: String {
    switch self {
    case .proxy:
      "the relay takes none: turn it off in the load balancer that forwards to this port (haproxy: no send-proxy)"
    case .http: "if that is no stray browser or health check, have the proxy in front forward plain TCP"
    case .tls: "MNEDC encrypts by itself: have nothing in front add TLS, and forward plain TCP"
    case .ssh, .text:
      "a program that is no MNEDC device has connected to this port; give that program the right port, or let MNEDC "
        + "use another (relay.listen)"
    }
  }

  /// What to change if a device receives it.
  public var adviceAtDevice: String {
    switch self {
    case .http:
      "a web server has this port, or a login page (captive portal) or a proxy answers in its place: check the "
        + "server's address and port"
    case .tls:
      "a TLS server or proxy has this port: check the server's address and port, and have it forward plain TCP"
    case .proxy, .ssh, .text: "another program has this port: check the server's address and port"
    }
  }
}
