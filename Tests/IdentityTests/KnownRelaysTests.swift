import Glibc
import Identity
import TestSupport
import Testing
import Wire

@Suite struct KnownRelaysTests {
  static func line(_ server: String, _ number: UInt8) -> String { "\(server) \(KeyText.relay.text(key(number)))\n" }

  @Test func `a relay's key is trusted once, and another is a conflict`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    #expect(try relays.key(of: "relay.example:3334") == nil)
    #expect(try relays.add("relay.example:3334", key(1)) == .known)
    #expect(try relays.add("[2001:db8::1]:3334", key(2)) == .known)
    #expect(try relays.add("relay.example:3334", key(1)) == .known)
    #expect(try relays.add("relay.example:3334", key(3)) == .conflict(key(1)))
    #expect(try relays.key(of: "relay.example:3334") == key(1))
    #expect(try relays.key(of: "RELAY.example:3334") == nil)
    #expect(
      content(of: relays.path) == Self.line("relay.example:3334", 1) + Self.line("[2001:db8::1]:3334", 2))
    #expect(mode(relays.path) == 0o600)
  }

  @Test func `a check finds a damaged file of relays or of their successors, and a missing one is right`() throws {
    let temporary = TemporaryDirectory()
    let directory = try StateDirectory(temporary.path)
    let (relays, successors) = (KnownRelays(in: directory), RelaySuccessors(in: directory))
    try relays.check()
    try successors.check()
    _ = try directory.create(KnownRelays.fileName, Array("garbage\n".utf8))
    _ = try directory.create(RelaySuccessors.fileName, Array("garbage\n".utf8))
    for check in [relays.check, successors.check] {
      let error = #expect(throws: StateError.self) { try check() }
      #expect(error?.kind == .damaged && error?.description.contains(":1: expected") == true)
    }
  }

  @Test func `all relays can be forgotten`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    try relays.removeAll()
    _ = try relays.add("a:1", key(1))
    try relays.removeAll()
    #expect(try relays.key(of: "a:1") == nil && content(of: relays.path) == nil)
  }

  @Test func `a key that is back has no successor any more`() throws {
    let temporary = TemporaryDirectory()
    let successors = RelaySuccessors(in: try StateDirectory(temporary.path))
    try successors.add(key(1), key(2))
    try successors.add(key(3), key(4))
    try successors.forgetSuccessor(of: key(1))
    try successors.forgetSuccessor(of: key(9))
    #expect(try successors.newest(of: key(1)) == key(1) && successors.newest(of: key(3)) == key(4))
  }

  @Test func `a relay's new key takes the place of the old one`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    _ = try relays.add("a:1", key(1))
    _ = try relays.add("b:1", key(2))
    try relays.replace("a:1", key(1), with: key(3))
    try relays.replace("c:1", key(9), with: key(4))
    #expect(content(of: relays.path) == Self.line("b:1", 2) + Self.line("a:1", 3) + Self.line("c:1", 4))
  }

  @Test func `a relay that has several names gets its new key under all of them`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    _ = try relays.add("a:1", key(1))
    _ = try relays.add("b:1", key(1))
    try relays.replace("a:1", key(1), with: key(3))
    #expect(try relays.key(of: "b:1") == key(3))
  }

  @Test func `a file that a person edited is read if it is right`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    put("", at: relays.path, mode: 0o644)
    #expect(try relays.key(of: "a:1") == nil)
    put(String(Self.line("a:1", 1).dropLast()), at: relays.path)
    #expect(try relays.key(of: "a:1") == key(1))
  }

  @Test func `what is wrong is told with its line, and nothing is lost`() throws {
    let temporary = TemporaryDirectory()
    let relays = KnownRelays(in: try StateDirectory(temporary.path))
    let good = Self.line("a:1", 1)
    let cases: KeyValuePairs = [
      good + "\n": "2: expected HOST:PORT, a space and the relay's key",
      "# comment\n": "1: expected HOST:PORT, a space and the relay's key",
      good + "b:1\n": "2: expected HOST:PORT, a space and the relay's key",
      good + good.replacing("a:1", with: "b"): "2: expected HOST:PORT, a space and the relay's key",
      good + "b:1  x\n": "2: expected HOST:PORT, a space and the relay's key",
      good.replacing("\n", with: " \n"): "1: expected HOST:PORT, a space and the relay's key",
      good + Self.line("b:1", 2) + good: "3: a:1 is listed twice",
      "a:1 mnedc-relay:AAAA\n": "1: what stands behind a:1 has 4 characters behind the colon in place of 43",
      "a:1 \(KeyText.device.text(key(1)))\n": "1: what stands behind a:1 is the key of a device",
      good.replacing("\n", with: "\r\n"): "1: what stands behind a:1 has 44 characters behind the colon in place of 43",
      "\u{1B}[2J:1 x\n": "1: expected HOST:PORT, a space and the relay's key",
    ]
    for (text, complaint) in cases {
      put(text, at: relays.path)
      let error = refusal { () throws(StateError) in try relays.add("c:1", key(3)) }
      #expect(
        error?.description
          == "\(relays.path):\(complaint); correct the line, or remove it to trust that relay anew")
      #expect(content(of: relays.path) == text)
    }
  }
}
