import Config
import Testing

/// What a first join, or a reset, makes of a file that a person has written.
@Suite struct FileEditTests {
  private func edited(_ text: String, _ changes: [(key: String, values: [String])]) throws -> String {
    String(decoding: try Settings.edited(Array(text.utf8), setting: changes), as: UTF8.self)
  }

  @Test func `a value is replaced where it is, and everything else stays`() throws {
    let text = """
      # Büro, first floor
      server: "old.example:3334"   # the former relay
      device-id: cam-a  # painted on the case
      join: {mtu: 1300}  # for the tunnel

      """
    #expect(
      try edited(text, [("device-id", ["cam-b"]), ("server", ["new.example:1", "other.example:2"])]) == """
        # Büro, first floor
        server: ["new.example:1", "other.example:2"]   # the former relay
        device-id: "cam-b"  # painted on the case
        join: {mtu: 1300}  # for the tunnel

        """)
  }

  @Test(arguments: [
    ("server: [a.example,\n  b.example]  # two\nlog-level: info\n", "server: \"c.example\"  # two\nlog-level: info\n"),
    (
      "server:\n- a.example\n- b.example # last\n# next\nlog-level: info\n",
      "server:\n\"c.example\" # last\n# next\nlog-level: info\n"
    ),
    ("server:\nlog-level: info\n", "server: \"c.example\"\nlog-level: info\n"),
    ("{log-level: info, server: 'a.example'}", "{log-level: info, server: \"c.example\"}"),
    ("\u{FEFF}server: a.example\r\nlog-level: info\r\n", "\u{FEFF}server: \"c.example\"\r\nlog-level: info\r\n"),
  ])
  func `lists, quotes, brackets and ends of lines are no obstacle`(text: String, wanted: String) throws {
    #expect(try edited(text, [("server", ["c.example"])]) == wanted)
  }

  @Test func `the result says what it should wherever it can`() throws {
    for text in [
      "server: [a.example, b.example]\n", "server: a.example", "", "# nothing\n", "join:\n  server: 1\n",
      "log-level: &l info\nserver: a.example\n",
    ] {
      let changed = try edited(text, [("server", ["c.example:1"]), ("device-id", ["x"])])
      guard !text.contains("join:") else { continue }
      let settings = try load(changed)
      #expect(settings.servers.map(\.description) == ["c.example:1"] && settings.deviceID == "x", "\(changed)")
    }
  }

  @Test func `a missing key is added at the end, behind the end of a line`() throws {
    #expect(
      try edited("log-level: info", [("server", ["a", "b"])]) == "log-level: info\nserver:\n  - \"a\"\n  - \"b\"\n")
    #expect(try edited("", [("device-id", ["a"])]) == "device-id: \"a\"\n")
    #expect(try edited("a: 1\n", []) == "a: 1\n")
  }

  @Test func `what is not YAML is not changed`() {
    #expect(throws: ConfigError.self) { try edited("a: [\n", [("server", ["b"])]) }
  }
}
