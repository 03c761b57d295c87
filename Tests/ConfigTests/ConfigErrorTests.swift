import Testing
import Wire

@testable import Config

@Suite struct ConfigErrorTests {
  static let top = keys("", sections: ["metrics", "join", "relay"])
  static let join = keys("join.", sections: ["orchestration"])
  static let server =
    #"expected a host with or without a port, such as relay.example, 192.0.2.1:3334 or "[2001:db8::1]:3334""#

  private static func keys(_ section: String, sections: [String]) -> String {
    let names = Settings.keys.filter { $0.path.hasPrefix(section) }.map { $0.path.dropFirst(section.count) }
    return
      "the keys here are \((names.filter { !$0.contains(".") } + sections.map { $0[...] }).joined(separator: ", "))"
  }

  @Test(arguments: [
    Bad("sever: a", #"1:1: unknown key "sever"; did you mean "server"?"#),
    Bad("deviceId: a", #"1:1: unknown key "deviceId"; did you mean "device-id"?"#),
    Bad("relay: {intrefaec: x}", #"1:9: unknown key "intrefaec"; did you mean "interface"?"#),
    Bad("jion:\n  mtu: 1400", #"1:1: unknown key "jion"; did you mean "join"?"#),
    Bad("x: 1\nserver: a", #"1:1: unknown key "x"; \#(top)"#),
    Bad("join:\n  wan: a", #"2:3: unknown key "wan"; \#(join)"#),
    Bad("mtu: 1400", #"1:1: unknown key "mtu" here; it belongs to join or relay"#),
    Bad("join:\n  pool: 1", #"2:3: unknown key "pool" here; it belongs to relay"#),
    Bad("relay:\n  server: a", #"2:3: unknown key "server" here; it belongs to the top of the file"#),
    Bad("\"\\e[2J\\u202E\": a", #"1:1: unknown key "\x1B[2J\u202E"; \#(top)"#),
  ])
  func `an unknown key is answered with what would be right`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test(arguments: [
    Bad("server: a\n\nserver: b", #"3:1: duplicate key "server"; first given on line 1"#),
    Bad("join:\n  mtu: 1400\n  mtu: 1500", #"3:3: duplicate key "mtu"; first given on line 2"#),
    Bad("join: {}\n\"join\": {}", #"2:1: duplicate key "join"; first given on line 1"#),
    Bad("server: [a, b, 'a:3334', a]", "1:16: a:3334 is listed twice; first on line 1"),
  ])
  func `what is given twice is an error that names the first`(bad: Bad) {
    #expect(complaints(bad.text).first == bad.complaint)
  }

  @Test(arguments: [
    Bad("hello", "1:1: text instead of keys with values; \(top)"),
    Bad("- a", "1:1: a list instead of keys with values; \(top)"),
    Bad("join: 3", "1:7: text instead of keys with values; \(join)"),
    Bad("join:\n- mtu", "2:1: a list instead of keys with values; \(join)"),
    Bad("? [a]\n: b", "1:3: a list instead of a key; \(top)"),
    Bad("server:", "1:8: no value instead of a server address; \(server)"),
    Bad("server: [null]", "1:10: no value instead of a server address; \(server)"),
    Bad("server: {a: b}", "1:9: a mapping instead of a server address; \(server)"),
    Bad("server: [[a]]", "1:10: a list instead of a server address; \(server)"),
    Bad(
      "relay: {listen: []}",
      #"1:17: an empty list; expected a numeric address with or without a port, such as "[::]:3334" or "#
        + "192.0.2.1:3334"),
    Bad("join: {mtu: [1400]}", "1:13: a list instead of an MTU; expected a whole number from 576 to 65535"),
    Bad("join: {mtu: }", "1:13: no value instead of an MTU; expected a whole number from 576 to 65535"),
    Bad("relay: {device: ''}", #"1:17: "" is not a boolean; expected true or false"#),
  ])
  func `a value of the wrong type is named`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test(arguments: [
    Bad("port: 1", #"1:1: port goes with server-ip only; with server write "host:port""#),
    Bad("server: a\nport: 1", #"2:1: port goes with server-ip only; with server write "host:port""#),
    Bad("server: a\nserver-ip: b", "2:1: server and server-ip both name the relay; keep one (the other is on line 1)"),
    Bad("server-ip: a\nserver: b", "2:1: server and server-ip both name the relay; keep one (the other is on line 1)"),
    Bad(
      "server-ip: 1.2.3.4:5",
      #"1:12: "1.2.3.4:5" is not a host; expected an IP address or a name, its port in the key port"#),
    Bad("server-ip: a\nport: 0", #"2:7: "0" is out of range; expected a whole number from 1 to 65535"#),
  ])
  func `the two ways to name the relay do not mix`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test(arguments: [
    Bad(
      "join:\n  peer-keys: {a b: \(ValueTests.device)}", "2:15: \"a b\" is not a device ID; expected 1 to 63 letters"),
    Bad(
      "join: {peer-keys: {a: \(ValueTests.device), a: \(ValueTests.other)}}", "1:81: a is listed twice; first on line 1"
    ),
    Bad(
      "join:\n  peer-keys:\n    a: \(ValueTests.device)\n    b: \(ValueTests.device)",
      "4:8: a has the same; the key of a device belongs to one only"),
    Bad("join: {peer-keys: [a]}", "1:19: a list instead of a mapping from a device ID to the key of a device"),
    Bad("join: {peer-keys: }", "1:19: no value instead of a mapping from a device ID to the key of a device"),
    Bad("join: {peer-keys: {a: [b]}}", "1:23: a list instead of the key of a device; expected mnedc-device: and 43"),
    Bad("join: {peer-keys: {[a]: b}}", "1:20: a list instead of a device ID; expected 1 to 63 letters"),
  ])
  func `a peer has one key and a key one peer`(bad: Bad) {
    #expect(complaints(bad.text).first?.hasPrefix(bad.complaint) == true, "\(complaints(bad.text))")
  }

  @Test func `more peers than a configuration can need are refused`() throws {
    func file(_ count: Int) -> String {
      "join:\n  peer-keys:\n"
        + (0..<count).map { number in
          let key = [UInt8(number >> 8), UInt8(number & 255)] + ValueTests.key.dropFirst(2)
          return "    d\(number): \(KeyText.device.text(key))\n"
        }.joined()
    }
    #expect(try load(file(1000)).join.peerKeys.count == 1000)
    #expect(complaints(file(1001)) == ["1003:5: more than 1000 entries"])
  }

  @Test func `a private key is not repeated in the message`() {
    let text = KeyText.privateKey.text(ValueTests.key)
    for file in ["server-key: \(text)", "join: {peer-keys: {a: \(text)}}"] {
      let told = complaints(file)
      #expect(told.count == 1 && told[0].contains("the value is a private key, which is for nobody to see"))
      #expect(!told[0].contains("private-key:"))
    }
  }

  @Test func `all problems are told in one run, in the file's order`() throws {
    let text = """
      relay:
        pool: 10.0.0.5/24
        threads: 65
        listen: ["[::]:3334", relay.example, "0.0.0.0:70000"]
      sever: a
      join:
        mtu: many
        mtu: 1400
        adress: 10.0.0.7
      port: 1
      """
    let error = #expect(throws: ConfigError.self) { try load(text) }
    #expect(
      error?.description == """
        mnedc.yaml:2:9: "10.0.0.5/24" has bits set behind the prefix; the network is 10.0.0.0/24
        mnedc.yaml:3:12: "65" is out of range; expected auto or a whole number from 1 to 64
        mnedc.yaml:4:25: "relay.example" is not a listen address; expected a numeric address with or without a port, \
        such as "[::]:3334" or 192.0.2.1:3334
        mnedc.yaml:4:40: "0.0.0.0:70000" has a bad port: "70000" is out of range; expected a whole number \
        from 0 to 65535
        mnedc.yaml:5:1: unknown key "sever"; did you mean "server"?
        mnedc.yaml:7:8: "many" is not an MTU; expected a whole number from 576 to 65535
        mnedc.yaml:8:3: duplicate key "mtu"; first given on line 7
        mnedc.yaml:9:3: unknown key "adress"; did you mean "address"?
        mnedc.yaml:10:1: port goes with server-ip only; with server write "host:port"
        """)
    #expect(error?.problems.count == 9)
    #expect(error?.problems[0].line == 2)
    #expect(error?.problems[0].column == 9)
  }

  @Test func `a bad value that several aliases share is told once, where it stands`() {
    let text = "join: {mtu: &mtu 12}\nrelay: {mtu: *mtu}"
    #expect(complaints(text) == [#"1:13: "12" is out of range; expected a whole number from 576 to 65535"#])
  }

  @Test func `columns count characters and lines end in any way`() {
    #expect(
      complaints("# é\r\n\"é\": 1\r\njoin: {\"日本\": 1, mtu: 1}").map { $0.prefix(5) } == ["2:1: ", "3:8: ", "3:22:"])
  }

  @Test func `a long value is cut in the message`() {
    let message = complaints("device-id: \(String(repeating: "a", count: 64))")[0]
    #expect(message.hasPrefix("1:12: \"\(String(repeating: "a", count: 60))\"… is not a device ID; expected 1 to 63"))
  }
}

@Suite struct SuggestionTests {
  @Test func `near names are the nearest, else up to three that begin so`() {
    let known = ["cam-d", "cam-b", "cam-a", "cam-c", "hub"]
    #expect(suggestions(for: "cam", among: known) == ["cam-a", "cam-b", "cam-c"])
    #expect(suggestions(for: "hib", among: known) == ["hub"])
    #expect(suggestions(for: "door", among: known) == [] && suggestions(for: "", among: known) == [])
  }

  @Test func `a letter of another alphabet that looks like one of ASCII is named`() {
    let names = ["join", "relay"]
    #expect(
      SettingsDecoder.unknownKey("j\u{43E}in", among: names)
        == "unknown key \"j\u{43E}in\", in which \"\u{43E}\" (U+043E) is no ASCII letter; did you mean \"join\"?")
    #expect(SettingsDecoder.unknownKey("jion", among: names) == #"unknown key "jion"; did you mean "join"?"#)
  }

  @Test(
    arguments: [
      ("127.0.0.1", true, false), ("127.1.2.3:5", true, false), ("localhost", true, false), ("[::1]:3334", true, false),
      ("10.0.0.1", false, true), ("[fd00::1]", false, true), ("192.0.2.1", false, false),
      ("relay.example", false, false),
    ])
  func `servers of this host alone and of a private network are known`(
    text: String, isLoopback: Bool, isPrivate: Bool
  ) throws {
    let server = try ServerAddress(parsing: text)
    #expect(server.isLoopback == isLoopback && server.isPrivate == isPrivate)
  }
}
