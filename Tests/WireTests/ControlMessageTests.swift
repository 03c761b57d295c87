import TestSupport
import Testing
import Wire

@Suite struct ControlMessageTests {
  private static func decode(_ text: String) throws -> ControlMessage? {
    try decode(Array(text.utf8))
  }

  private static func decode(_ bytes: [UInt8]) throws -> ControlMessage? {
    try bytes.withUnsafeBytes { try ControlMessage.decode($0) }
  }

  private static func json(_ message: ControlMessage) -> String {
    String(decoding: message.frame().dropFirst(FrameHeader.size), as: UTF8.self)
  }

  private static func address(_ text: String) -> IPv4Address { IPv4Address(text)! }

  /// Every kind of message with its exact text, which other implementations rely on.
  static let examples: [(message: ControlMessage, json: String)] = [
    (
      .join(
        JoinRequest(
          deviceID: "kitchen-hub", instance: "f00d", ciphers: CipherList([.aes256GCM, .chaCha20Poly1305]))),
      #"{"ciphers":["aes-256-gcm","chacha20-poly1305"],"device_id":"kitchen-hub","instance":"f00d","type":"join"}"#
    ),
    (
      .join(
        JoinRequest(
          deviceID: "a/\"b\"\\", instance: "", address: address("10.0.0.7"), addressRequired: true,
          token: Token([UInt8](repeating: 0xFF, count: 16)), ciphers: CipherList([]))),
      #"{"address":"10.0.0.7","address_required":true,"ciphers":[],"device_id":"a/\"b\"\\","instance":"","#
        + #""token":"_____________________w","type":"join"}"#
    ),
    (
      .welcome(
        Welcome(
          address: address("10.0.0.2"), pool: IPv4Prefix("10.0.0.0/24")!,
          relayAddress: address("10.0.0.1"), keepalive: 15_000)),
      #"{"address":"10.0.0.2","keepalive_ms":15000,"pool":"10.0.0.0/24","relay_address":"10.0.0.1","type":"welcome"}"#
    ),
    (
      .welcome(
        Welcome(
          address: address("10.0.0.2"), pool: IPv4Prefix("10.0.0.0/24")!,
          relayAddress: address("10.0.0.1"), keepalive: 15_000, relayVersion: "0.1.0")),
      #"{"address":"10.0.0.2","keepalive_ms":15000,"pool":"10.0.0.0/24","relay_address":"10.0.0.1","#
        + #""relay_version":"0.1.0","type":"welcome"}"#
    ),
    (
      .refused(Refusal(.poolFull, "the pool is full")),
      #"{"code":"pool-full","text":"the pool is full","type":"refused"}"#
    ),
    (
      .peers(
        PeerUpdate(
          revision: 8, since: 7, joined: [peer(address("10.0.0.3"), "cam")],
          left: [address("10.0.0.4")])),
      #"{"joined":[{"address":"10.0.0.3","ciphers":["chacha20-poly1305"],"device_id":"cam","#
        + #""key":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}],"left":["10.0.0.4"],"revision":8,"since":7,"#
        + #""type":"peers"}"#
    ),
    (
      .peers(
        PeerUpdate(revision: 9, since: 8, joined: [], left: [address("10.0.0.4")], dismissed: [address("10.0.0.4")])),
      #"{"dismissed":["10.0.0.4"],"joined":[],"left":["10.0.0.4"],"revision":9,"since":8,"type":"peers"}"#
    ),
    (
      .peers(PeerUpdate(revision: 1, since: nil, joined: [])),
      #"{"joined":[],"left":[],"revision":1,"type":"peers"}"#
    ),
    (.sync, #"{"type":"sync"}"#),
    (.unreachable(.address(address("10.0.0.9"))), #"{"address":"10.0.0.9","type":"unreachable"}"#),
    (.leave, #"{"type":"leave"}"#),
    (.decline, #"{"type":"decline"}"#),
    (
      .network(NetworkNotice(pool: IPv4Prefix("10.0.0.0/24")!, pool6: IPv6Prefix("fd00::/96")!)),
      #"{"pool":"10.0.0.0/24","pool6":"fd00::/96","type":"network"}"#
    ),
    (.pending, #"{"type":"pending"}"#),
    (.locate(.address(address("10.0.0.9"))), #"{"address":"10.0.0.9","type":"locate"}"#),
    (.locate(.label("kitchen-hub")), #"{"label":"kitchen-hub","type":"locate"}"#),
    (.unreachable(.label("kitchen-hub")), #"{"label":"kitchen-hub","type":"unreachable"}"#),
    (
      .standing(Standing(keys: [key])),
      #"{"keys":["CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"],"type":"standing"}"#
    ),
    (
      .standing(Standing(keys: [key], known: [])),
      #"{"keys":["CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"],"known":[],"type":"standing"}"#
    ),
    (.relayKey(KeyNotice(key: key)), #"{"key":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","type":"relay-key"}"#),
    (.nextKey(KeyNotice(key: key)), #"{"key":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","type":"next-key"}"#),
    (
      .nextKeyAccepted(KeyNotice(key: key)),
      #"{"key":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","type":"next-key-accepted"}"#
    ),
    (
      .nextKeyRefused(Refusal(.keyBound, "it is taken")),
      #"{"code":"key-bound","text":"it is taken","type":"next-key-refused"}"#
    ),
  ]

  private static let key = PublicKey([UInt8](repeating: 9, count: 32))!

  private static func peer(_ address: IPv4Address, _ deviceID: String) -> Peer {
    Peer(address: address, deviceID: deviceID, key: key, ciphers: CipherList([.chaCha20Poly1305]))
  }

  @Test(arguments: [(nil, nil), (7, true), (8, false)] as [(Int?, Bool?)], [0, 1, 3])
  func `an update of encoded peers is the same as one of peers`(state: (since: Int?, more: Bool?), count: Int) {
    let peers = (0..<count).map { Self.peer(IPv4Address(bits: UInt32($0)), "peer/\($0)") }
    let update = PeerUpdate(revision: 8, since: state.since, joined: peers, more: state.more)
    let frame = PeerUpdate.frame(
      revision: 8, since: state.since, joined: peers.map { EncodedPeer($0) }, more: state.more)
    #expect(frame == ControlMessage.peers(update).frame())
    let left = peers.map(\.address)
    let other = PeerUpdate(
      revision: 8, since: state.since, joined: [], left: left, dismissed: count > 1 ? left : nil, partial: state.more)
    let otherFrame = PeerUpdate.frame(
      revision: 8, since: state.since, joined: [], left: left, dismissed: count > 1 ? left : [], partial: state.more)
    #expect(otherFrame == ControlMessage.peers(other).frame())
  }

  @Test func `a cipher of the future is left out`() throws {
    let text = #"{"type":"join","device_id":"a","instance":"b","ciphers":["rot13","chacha20-poly1305"]}"#
    guard case .join(let request)? = try Self.decode(text) else {
      Issue.record("no join")
      return
    }
    #expect(request.ciphers == CipherList([.chaCha20Poly1305]))
  }

  @Test(arguments: examples)
  func `a message is written as the protocol says, and reads back`(message: ControlMessage, json: String) throws {
    #expect(Self.json(message) == json)
    #expect(try Self.decode(json) == message)
  }

  @Test func `a message's frame has the type asked for and its length`() throws {
    for type in [FrameType.handshake, .control] {
      let bytes = ControlMessage.leave.frame(type)
      let header = try bytes.withUnsafeBytes { try FrameHeader(parsing: $0.bytes) }
      #expect(header == FrameHeader(type: type, length: bytes.count - 12))
    }
  }

  @Test func `every code of a refusal has its word`() throws {
    let words: [(Refusal.Code, String)] = [
      (.badRequest, "bad-request"), (.unsupportedVersion, "unsupported-version"), (.poolFull, "pool-full"),
      (.addressTaken, "address-taken"), (.deviceIDTaken, "device-id-taken"), (.sessionReplaced, "session-replaced"),
      (.protocolError, "protocol-error"), (.keyInUse, "key-in-use"), (.keyBound, "key-bound"),
      (.inviteNeeded, "invite-needed"), (.inviteUnknown, "invite-unknown"), (.inviteUsedUp, "invite-used-up"),
      (.inviteExpired, "invite-expired"), (.inviteRevoked, "invite-revoked"),
      (.inviteForAnother, "invite-for-another"), (.tooManyAttempts, "too-many-attempts"), (.denied, "denied"),
      (.revoked, "revoked"), (.busy, "busy"), (.silent, "silent"), (.shuttingDown, "shutting-down"), (.other, "other"),
    ]
    for (code, word) in words {
      #expect(Self.json(.refused(Refusal(code, ""))) == #"{"code":"\#(word)","text":"","type":"refused"}"#)
    }
  }

  @Test func `a code from the future is other`() throws {
    let message = try Self.decode(#"{"type":"refused","code":"tired","text":"later"}"#)
    #expect(message == .refused(Refusal(.other, "later")))
  }

  @Test(arguments: ["brew", "", "JOIN", "join "])
  func `a message of an unknown type is nothing`(type: String) throws {
    #expect(try Self.decode(#"{"type":"\#(type)","join":{},"versions":5}"#) == nil)
  }

  @Test(arguments: [
    #""label":"Cam""#, #""label":"a.b""#, #""label":"""#, #""label":5"#, #""label":"a","address":"10.0.0.1""#,
    #""x":1"#,
  ])
  func `nobody is asked for by what is no label, or by both ways`(members: String) {
    #expect(throws: WireError.self) { try Self.decode(#"{"type":"locate",\#(members)}"#) }
  }

  @Test func `members that are not known are ignored`() throws {
    let text = #"{"x":[{}],"type":"unreachable","address":"10.0.0.9","type2":null,"versions":"no"}"#
    #expect(try Self.decode(text) == .unreachable(.address(Self.address("10.0.0.9"))))
    #expect(try Self.decode(#"{"type":"leave","versions":{"a":1}}"#) == .leave)
  }

  @Test func `order and white space mean nothing`() throws {
    #expect(try Self.decode(" {\n\t\"address\" : \"10.0.0.9\" ,\r \"type\":\"unreachable\" } ") != nil)
  }

  @Test func `a member that may be absent may be null`() throws {
    let text = #"{"type":"peers","revision":1,"since":null,"joined":[],"left":[]}"#
    #expect(try Self.decode(text) == .peers(PeerUpdate(revision: 1, since: nil, joined: [])))
  }

  @Test(arguments: [
    "", " ", "{", "}", "null", "5", "[]", "\"join\"", "{}", "{\"type\"", "{\"type\":}", "{type:\"join\"}", "{]",
    #"{"type":"leave"}{"type":"leave"}"#, #"{"type":"leave"} x"#, #"{"type":"leave""#, "\u{0}", #"{"type":"lea"#,
    #"{"type":"\ud800"}"#, #"{"type":"\x"}"#, "{\"type\":\"a\nb\"}",
  ])
  func `what is no JSON object with a type is a bad message`(text: String) {
    #expect(throws: WireError.self) { try Self.decode(text) }
  }

  @Test func `bytes that are no text are a bad message`() {
    #expect(throws: WireError.self) { try Self.decode([0xFF, 0xFE, 0xFD]) }
    #expect(throws: WireError.self) { try Self.decode(Array(#"{"type":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)) }
  }

  @Test(arguments: [
    (#"{"kind":"join"}"#, "type is missing"),
    (#"{"type":5}"#, "type is not as it should be"),
    (#"{"type":null}"#, "type is not as it should be"),
    (#"{"type":"join","ciphers":[],"instance":"x"}"#, "device_id is missing"),
    (#"{"type":"join","ciphers":[],"instance":"x","device_id":7}"#, "device_id is not as it should be"),
    (#"{"type":"join","ciphers":1,"instance":"x","device_id":"a"}"#, "ciphers is not as it should be"),
    (#"{"type":"join","ciphers":[],"instance":"x","device_id":"a","token":"short"}"#, "token is not as it should be"),
    (#"{"type":"relay-key","key":"AAAA"}"#, "key is not as it should be"),
    (
      #"{"type":"join","ciphers":[],"instance":"x","device_id":"a","address":"10.0.0"}"#,
      "address is not as it should be"
    ),
    (
      #"{"type":"join","ciphers":[],"instance":"x","device_id":"a","address_required":"yes"}"#,
      "address_required is not as it should be"
    ),
    (#"{"type":"unreachable"}"#, "address is missing"),
    (#"{"type":"unreachable","address":"10.0.0.256"}"#, "address is not as it should be"),
    (#"{"type":"refused","code":5,"text":""}"#, "code is not as it should be"),
    (#"{"type":"peers","revision":1,"joined":{},"left":[]}"#, "joined is not as it should be"),
    (
      #"{"type":"peers","revision":99999999999999999999,"joined":[],"left":[]}"#,
      "a number does not fit"
    ),
    (#"{"type":"peers","revision":1,"joined":[],"left":["a"]}"#, "left.0 is not as it should be"),
    ("[]", "not a JSON object"), ("nonsense", "not JSON"),
  ])
  func `an error names the member that is wrong`(text: String, expected: String) {
    #expect(throws: WireError.badMessage(expected)) { try Self.decode(text) }
  }

  @Test(arguments: [0, -1, Int.min, Int.max, 86_400_001])
  func `a keepalive that would spin or never end is refused`(keepalive: Int) {
    let text =
      #"{"type":"welcome","version":1,"address":"10.0.0.2","pool":"10.0.0.0/24","relay_address":"10.0.0.1","#
      + #""keepalive_ms":\#(keepalive)}"#
    #expect(throws: WireError.badMessage("keepalive_ms is not as it should be")) { try Self.decode(text) }
  }

  @Test(arguments: [1, 100, 511, 512, 513, 10_000, 60_000])
  func `nesting of any depth is read or refused, and harms nothing`(depth: Int) {
    for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
      let nested = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
      for text in [nested, #"{"type":"leave","x":\#(nested)}"#, #"{"type":\#(nested)}"#] {
        do {
          let message = try Self.decode(text)
          #expect(message == .leave)
        } catch {
          #expect("\(error)".hasPrefix("an invalid message: "))
        }
      }
    }
  }

  @Test func `as many peers as a message may have fit it, with as many that left`() {
    let highest = IPv4Address(bits: .max)
    let longest = String(repeating: "x", count: DeviceID.maximumLength)
    let peers = [Peer](repeating: testPeer(highest, longest), count: PeerUpdate.maximumPeers)
    let gone = [IPv4Address](repeating: highest, count: PeerUpdate.maximumPeers)
    let frame = ControlMessage.peers(PeerUpdate(revision: .max, since: .max, joined: peers, left: gone)).frame()
    // With room for the seal.
    #expect(frame.count + 16 <= FrameHeader.maximumFrame)
  }

  @Test func `a refusal fits a handshake frame, whatever it quotes`() throws {
    for piece in ["x", "\"", "\u{1}", "é", "👨‍👩‍👧‍👦", "\u{10FFFF}", "e\u{301}\u{301}\u{301}\u{301}\u{301}"] {
      let refusal = Refusal(.badRequest, String(repeating: piece, count: 8192))
      let frame = ControlMessage.refused(refusal).frame(.handshake)
      #expect(try Self.decode(Array(frame.dropFirst(12))) == .refused(refusal))
    }
    #expect(Refusal(.other, "short").text == "short")
  }
}

@Suite struct DeviceIDTests {
  @Test(arguments: ["a", "Z", "0", "kitchen-hub", "a.b_c-d", "x" + String(repeating: "-", count: 61) + "x"])
  func `letters, digits and a few signs between them are an ID`(text: String) {
    #expect(DeviceID.isValid(text))
    #expect(DeviceID.sanitized(text) == text)
  }

  @Test(arguments: [
    "", "-a", "a-", ".", "a b", "é", "a\u{0}b", "a/b", "kitchen\n", "_", String(repeating: "x", count: 64), "１",
  ])
  func `anything else is none`(text: String) {
    #expect(!DeviceID.isValid(text))
  }

  @Test(arguments: [
    ("Kitchen Hub", "Kitchen-Hub"), ("--a--", "a"), ("host.local.", "host.local"), ("my_host!", "my_host"),
    ("Küche", "K--che"), ("a\nb", "a-b"),
  ])
  func `the nearest ID keeps what it can`(text: String, expected: String) {
    #expect(DeviceID.sanitized(text) == expected)
  }

  @Test(arguments: ["", "---", "éü", "...", "_"])
  func `nothing is made of nothing`(text: String) {
    #expect(DeviceID.sanitized(text) == nil)
  }

  @Test func `the nearest ID is always valid`() {
    var random = FixedRandom(seed: 41)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...90, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let text = String(decoding: bytes, as: UTF8.self)
      if let id = DeviceID.sanitized(text) { #expect(DeviceID.isValid(id), "\(text)") }
    }
  }

  @Test(arguments: [
    ("0.1.0", true), ("1.0~rc1+b2", true), ("", false), ("a b", false), ("\u{1B}[2J", false), ("é", false),
  ])
  func `a relay's version is shown only if it is harmless and short`(_ version: String, _ isShown: Bool) {
    var welcome = Welcome(
      address: IPv4Address("10.0.0.2")!, pool: IPv4Prefix("10.0.0.0/24")!, relayAddress: IPv4Address("10.0.0.1")!,
      keepalive: 1000, relayVersion: version)
    #expect(welcome.shownRelayVersion == (isShown ? version : nil))
    welcome.relayVersion = String(repeating: "1", count: 33)
    #expect(welcome.shownRelayVersion == nil)
  }
}
