import Config
import Testing

@Suite struct YAMLTests {
  @Test(arguments: [
    Bad("\tserver: a", "1:1: a tab cannot indent YAML; use spaces"),
    Bad("join:\n\tmtu: 1400", "2:1: a tab cannot indent YAML; use spaces"),
    Bad("join:\n  mtu: 1400\n\tinterface: a", "3:1: a tab cannot indent YAML; use spaces"),
    Bad("join:\n  mtu: 1400\n  \tinterface: a", "3:3: a tab cannot indent YAML; use spaces"),
  ])
  func `a tab in the indentation is named as such`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test(arguments: [
    Bad("relay:\n  listen: [::]:3334\n  mtu: 1400\n", "2:11"), Bad("server: [2001:db8::1]:3334\n", "1:9"),
    Bad("server: [::1]\n", "1:9"), Bad("server:\n  - [::1]:3334\n  - a\n", "2:5"),
    Bad("server: [a, [::1]:3334]", "1:13"), Bad("server: [\n  [::1]:3334,\n  a]\n", "2:3"),
  ])
  func `an unquoted IPv6 address is answered with quotes`(bad: Bad) {
    let complaint = #"an IPv6 address in brackets must be quoted, as in "[2001:db8::1]:3334""#
    #expect(complaints(bad.text) == ["\(bad.complaint): \(complaint)"])
  }

  @Test(arguments: [
    Bad("server: a: b", #"1:10: a ":" does not fit here; quote a text that holds ": ", or correct the indentation"#),
    Bad("server: @a", #"1:9: a text that begins with "@" must be quoted"#),
    Bad("relay:\n  listen: *:3334", #"2:11: a text that begins with "*" must be quoted"#),
    Bad("server: [a", "2:1: did not find expected ',' or ']' while parsing a flow sequence from line 1"),
    Bad(
      "join:\n  mtu: 1400\n offload: off", "3:2: did not find expected key while parsing a block mapping from line 1"),
    Bad("server: !secret a", #"1:9: the tag "!secret" has no meaning here; write the plain value"#),
    Bad("server: !!set {a, b}", #"1:9: the tag "!!set" has no meaning here; write the plain value"#),
    Bad("server: !!seq a", #"1:9: the tag "!!seq" has no meaning here; write the plain value"#),
    Bad("server: a\n---\nserver: b", "2:1: a second document begins here; a configuration is one document"),
    Bad("%YAML 2.0\n---\n", "1:1: found incompatible YAML document"),
  ])
  func `what is not YAML, or more than this program takes of it, is told with its place`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test func `bytes that are no text are told with their place`() {
    #expect(complaints([0xFF, 0xFE, 0x61]) == ["1:1: the byte 0xFF is not UTF-8; save the file as UTF-8"])
    let cut = Array("a: b\nc: é".utf8).dropLast()
    #expect(complaints(Array(cut)) == ["2:4: the byte 0xC3 is not UTF-8; save the file as UTF-8"])
    #expect(complaints("server: é\u{0}b") == ["1:10: a NUL byte has no place in YAML; remove it"])
    #expect(complaints("# \u{7}") == ["1:3: a control character has no place in YAML; remove it"])
    #expect(complaints("#\u{85}#\u{80}") == ["2:2: a control character has no place in YAML; remove it"])
    #expect(complaints("# \u{FFFE}") == ["1:3: a control character has no place in YAML; remove it"])
  }

  // MARK: Limits

  @Test(arguments: [(1 << 20) + 1, 10_000_000])
  func `a file of more than a mebibyte is refused`(size: Int) {
    let complaint = "1:1: the file is larger than 1048576 bytes, more than a configuration can need"
    #expect(complaints([UInt8](repeating: UInt8(ascii: "#"), count: size)) == [complaint])
  }

  @Test func `a file of just a mebibyte is read`() throws {
    let comment = [UInt8](repeating: UInt8(ascii: "#"), count: Settings.maximumFileSize)
    #expect(try Settings.load(comment, file: "f") == Settings())
  }

  @Test(arguments: [
    ("[", "1:33"), ("{a: ", "1:129"), ("- ", "1:65"), ("? ", "1:65"), ("[{a: ", "1:81"),
  ])
  func `deep nesting is refused`(unit: String, place: String) {
    let text = String(repeating: unit, count: 10_000)
    #expect(complaints(text) == ["\(place): nested more than 32 levels deep"])
  }

  @Test func `deep nesting by indentation is refused`() {
    let text = (0..<200).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(complaints(text) == ["33:33: nested more than 32 levels deep"])
  }

  @Test func `a bomb of aliases is refused`() {
    var text = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    for (name, last) in zip("bcdefghi", "abcdefgh") {
      text += "\(name): &\(name) [" + [String](repeating: "*\(last)", count: 9).joined(separator: ", ") + "]\n"
    }
    #expect(
      complaints(text) == [
        "5:8: more than 10000 values, aliases expanded; this is more than a configuration can need"
      ])
  }

  @Test func `more values than a configuration can need are refused`() {
    let text = String(repeating: "- a\n", count: 20_000)
    #expect(
      complaints(text) == [
        "10000:3: more than 10000 values, aliases expanded; this is more than a configuration can need"
      ])
  }

  @Test func `a text without end is refused`() {
    #expect(complaints("server: \(String(repeating: "a", count: 5000))") == ["1:9: a text of more than 4096 bytes"])
    #expect(complaints("\(String(repeating: "a", count: 5000)): a").count == 1)
  }

  @Test(.timeLimit(.minutes(1)), arguments: ["server: \"", "server: ["])
  func `an endless line is refused without an endless search for its cause`(start: String) {
    let unit = "[a, "
    let text = start + String(repeating: unit, count: (Settings.maximumFileSize - start.utf8.count) / unit.utf8.count)
    #expect(complaints(text).count == 1)
  }

  @Test(arguments: [
    Bad("server: *x", #"1:9: no anchor "x" stands before this alias; quote a text that begins with *"#),
    Bad("server: &x [*x]", #"1:13: the alias "x" stands inside the value that it names"#),
    Bad("join: &x\n  mtu: *x", #"2:8: the alias "x" stands inside the value that it names"#),
  ])
  func `an alias of nothing or of itself is refused`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }
}
