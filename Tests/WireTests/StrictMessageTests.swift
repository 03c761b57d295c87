import TestSupport
import Testing
import Wire

/// A message can be read in one way only, or it is none.
@Suite struct StrictMessageTests {
  private static func decode(_ bytes: [UInt8]) throws -> ControlMessage? { try ControlMessage.decode(bytes) }
  private static func decode(_ text: String) throws -> ControlMessage? { try decode(Array(text.utf8)) }

  /// Within a text of a message that counts, and of one that nobody knows.
  private static func messages(with part: [UInt8]) -> [[UInt8]] {
    [("{\"type\":\"leave\",\"x\":\"", "\"}"), ("{\"type\":\"song\",\"x\":[\"", "\"]}")].map {
      Array($0.utf8) + part + Array($1.utf8)
    }
  }

  @Test(
    arguments: [
      [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x9F, 0xBF], [0xE2, 0x82],
      [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80],
      [0xFE], [0xFF],
    ] as [[UInt8]])
  func `bytes that are no UTF-8 are refused wherever they are`(part: [UInt8]) {
    for message in Self.messages(with: part) {
      #expect(throws: WireError.badMessage("not UTF-8")) { try Self.decode(message) }
    }
  }

  @Test(arguments: [
    "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}", "é👨‍👩‍👧",
  ])
  func `every character is read as it is and escaped`(text: String) throws {
    let escaped = text.utf16.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
    for form in [text, escaped, escaped.uppercased().replacing("\\U", with: "\\u")] {
      #expect(try Self.decode(#"{"type":"leave","x":"\#(form)"}"#) == .leave)
      #expect(
        try Self.decode(#"{"type":"refused","code":"other","text":"\#(form)"}"#) == .refused(Refusal(.other, text)))
    }
  }

  @Test(arguments: [
    #"\ud800"#, #"\udc00"#, #"\udbffx"#, #"\ud800\u0041"#, #"\ud800\ud800"#, #"\ud800\n"#, #"\uD83D"#, #"\udfff\ud800"#,
  ])
  func `half a surrogate pair is refused`(text: String) {
    for message in Self.messages(with: Array(text.utf8)) {
      #expect(throws: WireError.badMessage("half a surrogate pair stands in a text")) { try Self.decode(message) }
    }
  }

  @Test(arguments: [
    #"{"type":"leave","type":"leave"}"#, #"{"type":"sync","x":1,"y":2,"x":1}"#, #"{"type":"song","x":{"a":1,"a":2}}"#,
    #"{"type":"leave","\u0074ype":"sync"}"#, #"{"type":"leave","x":[{"é":1,"\u00e9":1}]}"#,
    #"{"type":"locate","address":"10.0.0.2","address":null}"#, #"{"type":"leave","":1,"":2}"#,
  ])
  func `a member that stands twice is refused, however it is escaped`(text: String) {
    #expect(throws: WireError.badMessage("a member stands twice in an object")) { try Self.decode(text) }
  }

  @Test func `members of one name in different objects are no matter`() throws {
    #expect(try Self.decode(#"{"type":"leave","x":{"type":1,"x":{"x":2}},"y":[{"a":1},{"a":1}]}"#) == .leave)
  }

  @Test(arguments: [
    "", " ", "{", "}", "{}x", #"{"type":"leave"}{}"#, #"{"type":"leave",}"#, #"{"type" "leave"}"#, #"{'type':'leave'}"#,
    #"{type:"leave"}"#, #"{"type":"leave","x":01}"#, #"{"type":"leave","x":+1}"#, #"{"type":"leave","x":1.}"#,
    #"{"type":"leave","x":.5}"#, #"{"type":"leave","x":1e}"#, #"{"type":"leave","x":-}"#, #"{"type":"leave","x":NaN}"#,
    #"{"type":"leave","x":truth}"#, #"{"type":"leave","x":nul}"#, #"{"type":"leave","x":[1,]}"#,
    #"{"type":"leave","x":[}"#,
    "{\"type\":\"leave\",\"x\":\"\n\"}", #"{"type":"leave","x":"\x"}"#, #"{"type":"leave","x":"\u12g4"}"#,
    #"{"type":"leave","x":"\u12"#, #"{"type":"leave","x":"abc"#, "\u{FEFF}{\"type\":\"leave\"}",
    "{\"type\":\"leave\"}\u{0}",
    "{\u{A0}\"type\":\"leave\"}", #"{"type":"leave"/**/}"#,
  ])
  func `what RFC 8259 does not have is refused`(text: String) {
    #expect(throws: WireError.badMessage("not JSON")) { try Self.decode(text) }
  }

  @Test func `JSON in another encoding is refused`() {
    let text = Array(#"{"type":"leave"}"#.utf8)
    for (before, behind) in [(0, 1), (1, 0), (0, 3), (3, 0)] {
      let bytes: [UInt8] = text.reduce(into: []) { bytes, byte in
        bytes += [UInt8](repeating: 0, count: before) + [byte] + [UInt8](repeating: 0, count: behind)
      }
      #expect(throws: WireError.self) { try Self.decode(bytes) }
    }
  }

  @Test(arguments: [
    "0", "-0", "12", "-1.5", "1e5", "1E-7", "0.25e+3", "true", "false", "null", "[]", "{}", " [ 1 , 2 ] ",
  ])
  func `every value may be in a member that is not known`(value: String) throws {
    #expect(try Self.decode(" {\t\"type\" : \"leave\" ,\r\n\"x\":\(value)} ") == .leave)
  }

  @Test func `nesting has a limit`() throws {
    for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
      func text(_ depth: Int) -> String {
        #"{"type":"leave","x":"# + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
          + "}"
      }
      #expect(try Self.decode(text(31)) == .leave)
      #expect(throws: WireError.badMessage("nested more than 32 deep")) { try Self.decode(text(32)) }
    }
  }

  @Test func `a long message with many members is read in time that grows with its length`() throws {
    let members = (0..<12_000).map { #""m\#($0)":0"# }.joined(separator: ",")
    #expect(try Self.decode(#"{"type":"leave",\#(members)}"#) == .leave)
    #expect(throws: WireError.self) { try Self.decode(#"{"type":"leave",\#(members),"m77":1}"#) }
  }

  @Test func `what is of an unknown type is not looked at further`() throws {
    #expect(try Self.decode(#"{"type":"song","address":7,"key":[]}"#) == nil)
    #expect(try Self.decode(#"{"type":"\#(String(repeating: "x", count: 10_000))"}"#) == nil)
    #expect(try Self.decode(#"{"type":"leav"}"#) == nil)
  }

  @Test func `the type is known before the rest is read, and may be escaped`() throws {
    for kind in ControlMessage.Kind.allCases {
      let bytes = Array(#"{"x":1,"type":"\#(kind.rawValue)"}"#.utf8)
      let read = try bytes.withUnsafeBytes { try ControlMessage.Unread($0).kind }
      #expect(read == kind)
    }
    #expect(try Self.decode(#"{"type":"\u006c\u0065ave"}"#) == .leave)
  }

  @Test func `messages between devices are held to the same`() throws {
    func read(_ bytes: [UInt8]) throws -> PeerMessage? { try bytes.withUnsafeBytes { try PeerMessage.decode($0) } }
    #expect(try read(Array(#"{"type":"echo","number":7}"#.utf8)) == .echo(7))
    for text in [
      #"{"type":"echo","number":7,"number":8}"#, #"{"type":"echo","number":7,"x":"\ud800"}"#, #"{"number":7}"#,
      #"{"type":"unchanged","x":"# + String(repeating: "[", count: 100) + String(repeating: "]", count: 100) + "}",
    ] {
      #expect(throws: WireError.self) { try read(Array(text.utf8)) }
    }
    #expect(throws: WireError.self) {
      try read(Array(#"{"type":"unchanged","x":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
    }
  }
}

@Suite struct LocateMessageTests {
  private func decode(_ text: String) throws -> ControlMessage? { try ControlMessage.decode(Array(text.utf8)) }

  @Test func `both members are told as what is wrong`() {
    #expect(throws: WireError.badMessage("has both address and label")) {
      try decode(#"{"type":"locate","address":"10.0.0.7","label":"hub"}"#)
    }
    #expect(throws: WireError.badMessage("label is not as it should be")) {
      try decode(#"{"type":"locate","label":"Hub"}"#)
    }
  }

  @Test func `null counts as absent`() throws {
    let address = try #require(IPv4Address("10.0.0.7"))
    #expect(try decode(#"{"type":"locate","address":"10.0.0.7","label":null}"#) == .locate(.address(address)))
    #expect(try decode(#"{"type":"locate","address":null,"label":"hub"}"#) == .locate(.label("hub")))
  }

  @Test(arguments: [
    #""address":"10.0.0.7","label":"hub""#, #""address":null,"label":null"#, #""x":1"#, #""label":"Hub""#,
    #""label":"""#,
    #""label":"a.b""#, #""label":7"#, #""address":"10.0.0""#, #""address":7"#, #""address":7,"label":"hub""#,
  ])
  func `both members, neither, or one that is none cannot be read`(members: String) {
    #expect(throws: WireError.self) { try decode(#"{"type":"locate",\#(members)}"#) }
  }
}

@Suite struct SmallOrderTests {
  @Test func `points of small order are known in all their forms, and other keys are none of them`() throws {
    let (zeros, ones) = ([UInt8](repeating: 0, count: 31), [UInt8](repeating: 0xFF, count: 30))
    for key in [
      zeros + [0], [1] + zeros, zeros + [0x80], [1] + zeros.dropLast() + [0x80], [0xEC] + ones + [0x7F],
      [0xED] + ones + [0x7F], [0xEE] + ones + [0x7F], [0xEE] + ones + [0xFF],
    ] {
      #expect(try #require(PublicKey(key)).isOfSmallOrder, "\(key)")
    }
    for key in [[2] + zeros, [0xEB] + ones + [0x7F], [0xEF] + ones + [0x7F], [9] + zeros, Array(1...32)] {
      #expect(try !#require(PublicKey(key)).isOfSmallOrder, "\(key)")
    }
  }
}

@Suite struct PrivatePoolTests {
  @Test(arguments: [
    ("10.0.0.0/8", true), ("10.9.0.0/24", true), ("172.16.0.0/12", true), ("192.168.255.0/30", true),
    ("100.64.0.0/10", true), ("198.18.0.0/15", true), ("8.8.8.0/24", false), ("172.0.0.0/8", false),
    ("172.32.0.0/16", false), ("192.0.0.0/8", false), ("192.0.2.0/24", false), ("100.128.0.0/10", false),
    ("169.254.0.0/16", false), ("198.20.0.0/16", false), ("11.0.0.0/24", false), ("0.0.0.0/0", false),
  ])
  func `a prefix is private only as a whole`(text: String, isPrivate: Bool) throws {
    #expect(try #require(IPv4Prefix(text)).isPrivate == isPrivate)
  }

  @Test func `the network's own and the broadcast address are no hosts'`() throws {
    let pool = try #require(IPv4Prefix("10.1.2.0/24"))
    for (text, isHost) in [("10.1.2.0", false), ("10.1.2.255", false), ("10.1.2.1", true), ("10.1.3.1", false)] {
      #expect(try pool.isHost(#require(IPv4Address(text))) == isHost)
    }
  }
}
