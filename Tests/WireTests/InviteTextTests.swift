import Testing

@testable import Wire

@Suite struct InviteTextTests {
  static let key = [UInt8](100..<132)
  static let token = [UInt8](200..<216)

  static func invite(_ servers: [String]) throws -> InviteText {
    try InviteText(relayKey: key, token: token, servers: servers)
  }

  /// A line with that content, under a checksum that is right.
  static func line(_ content: [UInt8]) -> String {
    let checksum = CRC32.checksum(content)
    return "mnedc-invite:"
      + Base64URL.encode(content + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: checksum >> UInt32($0)) })
  }

  static func refusal(_ text: String) -> InviteTextError? {
    #expect(throws: InviteTextError.self) { try InviteText(parsing: text) }
  }

  @Test(arguments: [
    ["relay.example:3334"], ["[2001:db8::1]:3334", "192.0.2.1:1"], [String](repeating: "a", count: 16),
    [String(repeating: "r", count: 255)],
  ])
  func `an invite is read as it is written, with white space around it`(servers: [String]) throws {
    let invite = try Self.invite(servers)
    #expect(try InviteText(parsing: invite.description) == invite)
    #expect(try InviteText(parsing: "\r\n \t\(invite)\r\n\n") == invite)
    #expect(InviteText(invite.description)?.servers == servers)
    #expect(invite.relayKey == Self.key && invite.token == Self.token)
  }

  @Test func `the line is the one that is documented`() throws {
    let content = [1] + Self.key + Self.token + [1, 3] + Array("a:1".utf8)
    #expect(try Self.invite(["a:1"]).description == Self.line(content))
    #expect(CRC32.checksum("123456789".utf8) == 0xCBF4_3926)
  }

  @Test func `no character can be changed, left out or doubled`() throws {
    let text = Array(try Self.invite(["relay.example:3334", "[2001:db8::1]:3334"]).description.utf8)
    for place in text.indices {
      for byte in UInt8(0x20)...0x7E where byte != text[place] {
        var changed = text
        changed[place] = byte
        let line = String(decoding: changed, as: UTF8.self)
        if InviteText(line) != nil { Issue.record("\(line) is read") }
      }
      var shorter = text
      shorter.remove(at: place)
      #expect(InviteText(String(decoding: shorter, as: UTF8.self)) == nil)
      #expect(InviteText(String(decoding: text[..<place], as: UTF8.self)) == nil)
      var longer = text
      longer.insert(text[place], at: place)
      #expect(InviteText(String(decoding: longer, as: UTF8.self)) == nil)
    }
  }

  @Test func `a line that was not copied whole is damaged, not malformed`() throws {
    let text = try Self.invite(["relay.example:3334"]).description
    let behindPrefix = "mnedc-invite:".count
    for count in behindPrefix..<text.count { #expect(Self.refusal(String(text.prefix(count))) == .damaged) }
    #expect(Self.refusal("\(text.prefix(40))\n\(text.dropFirst(40))") == .damaged)
    #expect(Self.refusal("\(text) \(text)") == .damaged)
  }

  @Test func `what begins otherwise is no invite, and what it is instead is said`() {
    for text in ["", " ", "hello", "mnedc-invite", "Mnedc-invite:AAAA"] {
      #expect(Self.refusal(text) == .noInvite(nil))
    }
    #expect(Self.refusal(KeyText.relay.text(Self.key)) == .noInvite(.relay))
    #expect(Self.refusal(KeyText.privateKey.text(Self.key)) == .noInvite(.privateKey))
  }

  @Test func `what is whole and wrong is told from what is damaged`() {
    let start = [1] + Self.key + Self.token
    #expect(Self.refusal(Self.line([2] + start.dropFirst() + [1, 1, 0x61])) == .otherVersion(2))
    #expect(Self.refusal(Self.line([1])) == .malformed)
    #expect(Self.refusal(Self.line(start)) == .malformed)
    #expect(Self.refusal(Self.line(start + [0])) == .badServer)
    #expect(Self.refusal(Self.line(start + [1])) == .malformed)
    #expect(Self.refusal(Self.line(start + [1, 2, 0x61])) == .malformed)
    #expect(Self.refusal(Self.line(start + [1, 1, 0x61, 0])) == .malformed)
    #expect(Self.refusal(Self.line(start + [1, 0])) == .badServer)
    #expect(Self.refusal(Self.line(start + [1, 1, 0x20])) == .badServer)
    #expect(Self.refusal(Self.line(start + [1, 1, 0xFF])) == .badServer)
    #expect(Self.refusal(Self.line(start + [17] + [UInt8](repeating: 1, count: 34))) == .badServer)
  }

  @Test func `a line is at most as long as a terminal surely takes`() throws {
    let long = [String](repeating: String(repeating: "a", count: 240), count: 7)
    #expect(throws: InviteTextError.tooLong) { try Self.invite(long) }
    #expect(try Self.invite(long.dropLast()).description.utf8.count <= InviteText.maximumLength)
    #expect(Self.refusal("mnedc-invite:" + String(repeating: "A", count: 100_000)) == .tooLong)
    #expect(throws: InviteTextError.badServer) { try Self.invite([]) }
    #expect(throws: InviteTextError.badServer) { try Self.invite(["a b"]) }
  }

  @Test func `no noise behind the prefix is read`() {
    var numbers = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...120)).map { _ in UInt8.random(in: 0...255, using: &numbers) }
      // A right checksum leaves the layout to be checked.
      if let invite = InviteText(Self.line([1] + bytes)) { #expect(invite.description == Self.line([1] + bytes)) }
      #expect(InviteText("mnedc-invite:" + Base64URL.encode([1] + bytes)) == nil)
    }
  }
}
