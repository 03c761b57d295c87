import Testing
import Wire

@Suite struct ForeignProtocolTests {
  private static func recognize(_ bytes: [UInt8]) -> ForeignProtocol? { ForeignProtocol(bytes.span.bytes) }

  private static let known: [(bytes: [UInt8], ForeignProtocol)] = [
    (Array("PROXY TCP4 192.0.2.7 192.0.2.9 40000 3334\r\n".utf8), .proxy(version: 1)),
    (Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, 12], .proxy(version: 2)),
    (Array("GET / HTTP/1.1\r\n".utf8), .http),
    (Array("PRI * HTTP/2.0\r\n".utf8), .http),
    (Array("HTTP/1.1 302 Found\r\n".utf8), .http),
    // A ClientHello, and an alert.
    ([0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 7], .tls),
    ([0x15, 3, 3, 0, 2, 2, 70], .tls),
    (Array("SSH-2.0-OpenSSH_9.2p1 Debian\r\n".utf8), .ssh),
    (Array("220 mail.example ESMTP\r\n".utf8), .text("220 mail.example ESMTP")),
  ]

  @Test(arguments: 0..<known.count)
  func `a protocol is known by its first bytes, and what to change is said at both ends`(_ number: Int) {
    let (bytes, wanted) = Self.known[number]
    #expect(Self.recognize(bytes) == wanted)
    #expect(!wanted.name.isEmpty && !wanted.adviceAtRelay.isEmpty && !wanted.adviceAtDevice.isEmpty)
  }

  @Test func `the advice to a program at the wrong port names both ways out`() {
    #expect(ForeignProtocol.ssh.adviceAtRelay.hasSuffix("use another (relay.listen)"))
  }

  @Test func `no frame is taken for another protocol, nor what is too short or no text`() {
    for type in UInt8(1)...6 { #expect(Self.recognize([type, 0, 0, 0x2C] + [UInt8](repeating: 0, count: 8)) == nil) }
    #expect(Self.recognize([]) == nil)
    #expect(Self.recognize(Array("QUI".utf8)) == nil)
    #expect(Self.recognize([0xFF, 0xFE, 0xFD, 0xFC, 0xFB]) == nil)
  }

  @Test func `a text is cut where it is long or not visible`() {
    #expect(
      Self.recognize([UInt8](repeating: UInt8(ascii: "a"), count: 64)) == .text(String(repeating: "a", count: 40)))
    #expect(Self.recognize(Array("+OK hi\u{1B}[2J".utf8)) == .text("+OK hi"))
  }
}
