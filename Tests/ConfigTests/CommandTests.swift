import Config
import Testing

@Suite struct CommandTests {
  @Test(
    arguments: [
      ("/usr/bin/told", ["/usr/bin/told"]), ("[/bin/sh, -c, 'a b', '', -c]", ["/bin/sh", "-c", "a b", "", "-c"]),
      ("[]", []), ("[/bin/sh, -c, \"a\\n\\tb: 'c'\"]", ["/bin/sh", "-c", "a\n\tb: 'c'"]),
      ("'/with a space'", ["/with a space"]),
    ] as [(String, [String])])
  func `a command is a path, or a list of it and what it is given`(text: String, expected: [String]) throws {
    let settings = try load("join:\n  on-peer: \(text)")
    #expect(settings.join.onPeer == expected)
    #expect(try load(settings.render()) == settings)
    #expect(try load("").changes(to: settings, for: .device).map(\.key) == (expected.isEmpty ? [] : ["join.on-peer"]))
    #expect(try load("").takingOver(settings, for: .relay).join.onPeer == expected)
  }

  @Test(arguments: [
    (" told", "1:17: \"told\" is not a program; expected an absolute path of at most 1000 bytes, or a list"),
    (" [told, /x]", "1:18: \"told\" is not a program; expected"),
    (" {a: b}", "1:17: a mapping instead of a program"), (" [/x, [y]]", "1:22: a list instead of an argument"),
    (" [/x, \"a\\0\"]", "1:22: \"a\\x00\" is not an argument; expected at most 4096 bytes"),
  ])
  func `what cannot be run is refused`(text: String, complaint: String) throws {
    let found = complaints("join: {on-peer:\(text)}")
    #expect(found.count == 1 && found.first?.hasPrefix(complaint) == true, "\(found)")
    let many = complaints("join: {on-peer: [/x\(String(repeating: ", a", count: 64))]}")
    #expect(many.count == 1 && many.first?.hasSuffix("more than 64 words") == true)
  }
}
