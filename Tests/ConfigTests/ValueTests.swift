import Testing
import Wire

@testable import Config

@Suite struct ValueTests {
  static let key = (0..<32).map { UInt8($0 * 7) }
  static let relay = KeyText.relay.text(key)
  static let device = KeyText.device.text(key)
  static let other = KeyText.device.text(key.reversed())

  /// Reads each text and expects it to be written back as it was, or as the other text.
  private func expect<Value>(_ kind: ValueKind<Value>, _ texts: KeyValuePairs<String, String>) throws {
    for (text, written) in texts {
      let value = try kind.parse(text)
      #expect(kind.text(value) == written)
      #expect(try kind.text(kind.parse(written)) == written)
    }
  }

  /// Expects each text to be refused with just that message.
  private func refuse<Value>(_ kind: ValueKind<Value>, _ texts: KeyValuePairs<String, String>) {
    for (text, message) in texts {
      let error = #expect(throws: ValueError.self, "\(text)") { try kind.parse(text) }
      #expect(error?.message == message)
    }
  }

  @Test func `an option and the file say the same about a bad value`() throws {
    let error = try #require(throws: ValueError.self) { try ServerAddress(parsing: "relay:0") }
    #expect(complaints("server: relay:0") == ["1:9: \(error.message)"])
    let pool = try #require(throws: ValueError.self) { try ValueKind.pool.parse("10.0.0.1/24") }
    #expect(complaints("relay: {pool: 10.0.0.1/24}") == ["1:15: \(pool)"])
  }

  @Test func `an invite is for some devices and for some time`() throws {
    try expect(.inviteUses, ["1": "1", "10000": "10000"])
    refuse(
      .inviteUses,
      [
        "0": "\"0\" is out of range; expected a whole number from 1 to 10000",
        "x": "\"x\" is not a number of devices; expected a whole number from 1 to 10000",
      ])
    try expect(.inviteLifetime, ["1s": "1s", "24h": "1d", "90m": "90m", "8760h": "365d", "25h": "25h"])
    refuse(.inviteLifetime, ["999ms": "\"999ms\" is out of range; expected 1s to 365d, in ms, s, m, h or d"])
  }

  @Test func `a server is a name or an address, with a port or without`() throws {
    try expect(
      .server,
      [
        "relay": "relay:3334", "relay.example": "relay.example:3334", "relay.example.:1": "relay.example.:1",
        "mnedc_relay:65535": "mnedc_relay:65535", "192.0.2.1": "192.0.2.1:3334", "192.0.2.1:80": "192.0.2.1:80",
        "[::]": "[::]:3334", "[::1]:80": "[::1]:80", "[2001:DB8::a]": "[2001:DB8::a]:3334",
        "3com.example": "3com.example:3334",
        "[fe80::1%eth0]:1": "[fe80::1%eth0]:1", "[::ffff:192.0.2.1]": "[::ffff:192.0.2.1]:3334",
        "[1:2:3:4:5:6:7:8]": "[1:2:3:4:5:6:7:8]:3334", "[1:2:3:4:5:6:192.0.2.1]": "[1:2:3:4:5:6:192.0.2.1]:3334",
        "[1:2:3:4:5:6:7::]": "[1:2:3:4:5:6:7::]:3334",
      ])
  }

  @Test(arguments: [
    "", ":3334", "relay:", "relay:x", "-relay", "relay-", "re lay", "a..b", ".", "relay.example..", "192.0.2",
    "192.0.2.256",
    "192.0.2.01", "1234", "[192.0.2.1]", "[relay]:1", "[::1", "[::1]3334", "[]", "[:]", "[:::]", "[1::2::3]",
    "[12345::]",
    "[g::]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4::5:6:7:8]", "[::192.0.2.1:1]", "[192.0.2.1::]",
    "[1:2:3:4:5:6:7:192.0.2.1]", "[fe80::1%]", "[fe80::1%a b]", "[::1]:", "[::1]:+1", "tcp://relay:1", "rélay", "a:1:2",
    "[1:]", "[:1]", "relay\n", "relay\u{0}",
  ])
  func `what is no server is refused`(text: String) {
    #expect(throws: ValueError.self) { try ServerAddress(parsing: text) }
  }

  @Test func `a name has at most 253 bytes in labels of at most 63`() throws {
    let label = String(repeating: "a", count: 63)
    _ = try ServerAddress(parsing: "\(label).\(label).\(label).\(label.dropLast(2))")
    for text in [label + "a", "\(label).\(label).\(label).\(label.dropLast(1))"] {
      #expect(throws: ValueError.self) { try ServerAddress(parsing: text) }
    }
  }

  @Test func `a server's slips are answered with what would be right`() {
    let rule = #"expected a host with or without a port, such as relay.example, 192.0.2.1:3334 or "[2001:db8::1]:3334""#
    refuse(
      .server,
      [
        "192.0.2.256": "\"192.0.2.256\" is not a server address; \(rule)",
        "2001:db8::1": #""2001:db8::1" needs brackets, which tell the address from the port: "[2001:db8::1]:3334""#,
        "relay:0": #""relay:0" has a bad port: "0" is out of range; expected a whole number from 1 to 65535"#,
        "relay:x": #""relay:x" has a bad port: "x" is not a port; expected a whole number from 1 to 65535"#,
      ])
  }

  @Test func `a relay listens at numeric addresses only`() throws {
    try expect(.listen, ["[::]:0": "[::]:0", "0.0.0.0": "0.0.0.0:3334", "[::1]:65535": "[::1]:65535"])
    let rule = #"expected a numeric address with or without a port, such as "[::]:3334" or 192.0.2.1:3334"#
    refuse(
      .listen,
      [
        "localhost": "\"localhost\" is not a listen address; \(rule)",
        "*:3334": "\"*:3334\" is not a listen address; \(rule)",
        ":3334": "\":3334\" is not a listen address; \(rule)",
        "[::]:65536":
          #""[::]:65536" has a bad port: "65536" is out of range; expected a whole number from 0 to 65535"#,
      ])
  }

  @Test func `metrics are given at a port of this host alone, or at an address`() throws {
    try expect(
      .metricsListen,
      ["9834": "127.0.0.1:9834", "0": "127.0.0.1:0", "192.0.2.1:80": "192.0.2.1:80", "[::]:9834": "[::]:9834"])
    let rule = #"expected a port, or a numeric address with a port, such as 9834, 192.0.2.1:9834 or "[::1]:9834""#
    refuse(
      .metricsListen,
      [
        "localhost:9834": "\"localhost:9834\" is not a listen address; \(rule)",
        ":9834": "\":9834\" is not a listen address; \(rule)",
        "::1": "\"::1\" needs brackets and a port: \"[::1]:9834\"",
        "[::1]": "\"[::1]\" needs a port: \"[::1]:9834\"",
        "127.0.0.1": "\"127.0.0.1\" needs a port: \"127.0.0.1:9834\"",
        "65536":
          "\"65536\" has a bad port: \"65536\" is out of range; expected a whole number from 0 to 65535",
        "127.0.0.1:x":
          "\"127.0.0.1:x\" has a bad port: \"x\" is not a port; expected a whole number from 0 to 65535",
      ])
  }

  @Test func `a pool is a network of hosts`() throws {
    try expect(
      .pool,
      ["10.0.0.0/8": "10.0.0.0/8", "192.168.1.4/30": "192.168.1.4/30", "100.64.0.0/10": "100.64.0.0/10"])
    try expect(.pool, ["auto": "auto"])
    let rule = "expected auto or a network of length /8 to /30, such as 10.0.0.0/24"
    let others = "devices need addresses of their own, such as 10.0.0.0/24"
    refuse(
      .pool,
      [
        "10.0.0.0": "\"10.0.0.0\" is not an IPv4 network; \(rule)",
        "10.0.0/24": "\"10.0.0/24\" is not an IPv4 network; \(rule)",
        "fd00::/96": "\"fd00::/96\" is not an IPv4 network; \(rule)",
        "10.0.0.0/024": "\"10.0.0.0/024\" is not an IPv4 network; \(rule)",
        "10.0.0.0/7": "\"10.0.0.0/7\" is out of range; \(rule)",
        "10.0.0.0/31": "\"10.0.0.0/31\" is out of range; \(rule)",
        "10.0.0.0/99999999999999999999": "\"10.0.0.0/99999999999999999999\" is out of range; \(rule)",
        "10.1.2.3/20": #""10.1.2.3/20" has bits set behind the prefix; the network is 10.1.0.0/20"#,
        "224.0.0.0/24": "\"224.0.0.0/24\" is multicast (224.0.0.0/4); \(others)",
        "127.0.0.0/24": "\"127.0.0.0/24\" is loopback (127.0.0.0/8); \(others)",
        "0.0.0.0/8": "\"0.0.0.0/8\" is in \"this network\" (0.0.0.0/8); \(others)",
        "255.255.255.0/24": "\"255.255.255.0/24\" is reserved (240.0.0.0/4); \(others)",
      ])
  }

  @Test func `a pool of IPv6 addresses is a /96 that anybody may make up`() throws {
    try expect(
      .pool6, ["auto": "auto", "off": "off", "FD00:1::/96": "fd00:1::/96", "fd12:3:4:5::/96": "fd12:3:4:5::/96"])
    let rule = "expected auto, off or a network of length /96 within fd00::/8, such as fd12:3456:789a:1::/96"
    refuse(
      .pool6,
      [
        "on": "\"on\" is not an IPv6 network; \(rule)", "fd00::": "\"fd00::\" is not an IPv6 network; \(rule)",
        "10.0.0.0/24": "\"10.0.0.0/24\" is not an IPv6 network; \(rule)",
        "fd00::/64": "\"fd00::/64\" is out of range; \(rule)",
        "2001:db8::/96": "\"2001:db8::/96\" is out of range; \(rule)",
        "fd00::1/96": #""fd00::1/96" has bits set behind the prefix; the network is fd00::/96"#,
      ])
  }

  @Test func `a lease may grow old, or not at all`() throws {
    let age = ValueKind.duration(.zero ... .seconds(3650 * 86_400))
    try expect(age, ["0s": "0s", "30d": "30d", "36h": "36h", "720h": "30d", "3650d": "3650d"])
    let rule = "expected 0s to 3650d, in ms, s, m, h or d"
    refuse(
      age,
      ["3651d": "\"3651d\" is out of range; \(rule)", "1w": "\"1w\" is not a duration; \(rule)"])
  }

  @Test func `an address is fixed for one device only`() throws {
    let text = "relay:\n  addresses:\n    a: 10.0.0.7\n    b: 10.0.0.7\n    a: 10.0.0.8\n    c: 10.0.0\n"
    #expect(
      complaints(text) == [
        "4:8: a has the same; an IPv4 address belongs to one only", "5:5: a is listed twice; first on line 3",
        #"6:8: "10.0.0" is not an IPv4 address; expected four numbers from 0 to 255, such as 10.0.0.7"#,
      ])
  }

  @Test func `a virtual address is one that a device can have`() throws {
    try expect(.virtualAddress, ["10.0.0.7": "10.0.0.7"])
    refuse(
      .virtualAddress,
      [
        "10.0.0": #""10.0.0" is not an IPv4 address; expected four numbers from 0 to 255, such as 10.0.0.7"#,
        "224.0.0.1": #""224.0.0.1" is multicast (224.0.0.0/4); a device needs an address of its own"#,
        "127.0.0.1": #""127.0.0.1" is loopback (127.0.0.0/8); a device needs an address of its own"#,
      ])
  }

  @Test func `a duration has a unit and is written in the largest that fits`() throws {
    try expect(
      .joinTimeout,
      ["1s": "1s", "30s": "30s", "90s": "90s", "120s": "2m", "60m": "1h", "1500ms": "1500ms", "2000ms": "2s"])
    #expect(try ValueKind.joinTimeout.parse("1500ms") == .milliseconds(1500))
    let rule = "expected 1s to 1h, in ms, s, m or h"
    refuse(
      .joinTimeout,
      [
        "30": "\"30\" is not a duration; \(rule)", "s": "\"s\" is not a duration; \(rule)",
        "": "\"\" is not a duration; \(rule)", "1.5s": "\"1.5s\" is not a duration; \(rule)",
        "-1s": "\"-1s\" is not a duration; \(rule)", "30 s": "\"30 s\" is not a duration; \(rule)",
        "1m30s": "\"1m30s\" is not a duration; \(rule)", "030s": "\"030s\" is not a duration; \(rule)",
        "0s": "\"0s\" is out of range; \(rule)", "999ms": "\"999ms\" is out of range; \(rule)",
        "3601s": "\"3601s\" is out of range; \(rule)",
        "9223372036854775807h": "\"9223372036854775807h\" is out of range; \(rule)",
        "99999999999999999999s": "\"99999999999999999999s\" is out of range; \(rule)",
      ])
  }

  @Test func `a size is in binary units or bytes`() throws {
    let queue = ValueKind.size(256 << 10...64 << 20)
    try expect(
      queue, ["256KiB": "256KiB", "1024KiB": "1MiB", "4194304": "4MiB", "300001": "300001", "64MiB": "64MiB"])
    let rule = "expected 256KiB to 64MiB, in KiB, MiB, GiB or plain bytes"
    refuse(
      queue,
      [
        "4MB": "\"4MB\" is not a size; \(rule)", "4 MiB": "\"4 MiB\" is not a size; \(rule)",
        "1GiB": "\"1GiB\" is out of range; \(rule)", "262143": "\"262143\" is out of range; \(rule)",
        "9007199254740993MiB": "\"9007199254740993MiB\" is out of range; \(rule)",
      ])
  }

  @Test func `a device ID is letters, digits and what joins them`() throws {
    let longest = String(repeating: "a", count: 63)
    try expect(.deviceID, ["a": "a", "kitchen-hub": "kitchen-hub", "7_a.B": "7_a.B", longest: longest])
    for text in ["", "-a", "a-", ".", "a b", "a/b", "é", longest + "a", "a\n"] {
      #expect(throws: ValueError.self) { try ValueKind.deviceID.parse(text) }
    }
    let rule = "1 to 63 letters, digits, dots, hyphens and underscores that begin and end with a letter or digit"
    refuse(.deviceID, ["a b": "\"a b\" is not a device ID; expected \(rule)"])
  }

  @Test func `an interface's name is what the kernel takes`() throws {
    try expect(.interface, ["mnedc0": "mnedc0", "a": "a", "123456789012345": "123456789012345", "a@b.c": "a@b.c"])
    let rule = #"expected 1 to 15 visible ASCII characters other than "/", ":" and "%""#
    for text in ["", ".", "..", "a/b", "a b", "a:b", "1234567890123456", "é"] {
      refuse(.interface, [text: "\"\(text)\" is not an interface name; \(rule)"])
    }
    #expect(throws: ValueError.self) { try ValueKind.interface.parse("a\u{0}") }
  }

  @Test func `a socket's path is absolute and fits the kernel's structure`() throws {
    let longest = "/" + String(repeating: "a", count: 106)
    try expect(.socketPath, ["/run/mnedc.sock": "/run/mnedc.sock", longest: longest])
    let rule = "expected an absolute path of at most 107 bytes"
    refuse(
      .socketPath,
      [
        "": "\"\" is not a socket's path; \(rule)", "run/a": "\"run/a\" is not a socket's path; \(rule)",
        "/run/": "\"/run/\" is not a socket's path; \(rule)", "/a\u{0}": "\"/a\\x00\" is not a socket's path; \(rule)",
        longest + "a": "\"\(longest.prefix(60))\"… is 108 bytes long; \(rule)",
      ])
  }

  @Test func `a key is told from the other keys there are`() throws {
    try expect(.relayKey, [Self.relay: Self.relay])
    try expect(.deviceKey, [Self.device: Self.device])
    let rule = "expected mnedc-relay: and 43 letters, digits, hyphens and underscores"
    refuse(
      .relayKey,
      [
        Self.device: "\"\(Self.device)\" is the key of a device; \(rule)",
        "abc": "\"abc\" is no key of this suite; \(rule)",
        "mnedc-relay:abc": "\"mnedc-relay:abc\" has 3 characters behind the colon in place of 43; \(rule)",
        KeyText.privateKey.text(Self.key): "the value is a private key, which is for nobody to see; \(rule)",
      ])
  }

  @Test func `a directory is an absolute path without a slash at its end`() throws {
    try expect(.directory, ["/var/lib/mnedcd": "/var/lib/mnedcd", "/a b": "/a b"])
    let rule = "expected an absolute path of at most 1000 bytes, without a slash at its end"
    for text in ["", "/", "var", "~/state", "/var/"] {
      refuse(.directory, [text: "\"\(text)\" is not a directory; \(rule)"])
    }
    #expect(throws: ValueError.self) { try ValueKind.directory.parse("/" + String(repeating: "a", count: 1000)) }
    #expect(throws: ValueError.self) { try ValueKind.directory.parse("/a\u{0}") }
  }

  @Test func `a user goes by name`() throws {
    try expect(.user, ["auto": "auto", "root": "root", "mnedc": "mnedc", "_a.b-c1": "_a.b-c1"])
    let rule = "expected auto or a user's name, 1 to 32 letters, digits, dots, hyphens and underscores"
    for text in ["", "-a", "a b", "0", "1000", "a:b", "é", String(repeating: "a", count: 33)] {
      refuse(.user, [text: "\"\(text)\" is not a user; \(rule)"])
    }
  }

  @Test func `a number, a choice and a boolean say what they take`() throws {
    try expect(.mtu, ["576": "576", "65535": "65535"])
    try expect(.threads, ["auto": "auto", "1": "1", "64": "64"])
    try expect(.boolean, ["true": "true", "false": "false", "Yes": "true", "ON": "true", "y": "true", "No": "false"])
    for level in ["trace", "debug", "info", "notice", "warning", "error", "critical"] {
      try expect(.logLevel, [level: level])
    }
    let mtu = "expected a whole number from 576 to 65535"
    refuse(
      .mtu,
      [
        "575": "\"575\" is out of range; \(mtu)", "65536": "\"65536\" is out of range; \(mtu)",
        "99999999999999999999": "\"99999999999999999999\" is out of range; \(mtu)",
        "-1": "\"-1\" is not an MTU; \(mtu)", "0x578": "\"0x578\" is not an MTU; \(mtu)",
        "01400": "\"01400\" is not an MTU; \(mtu)", "١٤٠٠": "\"١٤٠٠\" is not an MTU; \(mtu)",
      ])
    let threads = "expected auto or a whole number from 1 to 64"
    refuse(
      .threads,
      ["0": "\"0\" is out of range; \(threads)", "all": "\"all\" is not a number of threads; \(threads)"])
    refuse(.boolean, ["yEs": #""yEs" is not a boolean; expected true or false"#])
    for admission in ["invite", "approve", "open"] { try expect(.admission, [admission: admission]) }
    for control in ["auto", "system"] { try expect(.congestionControl, [control: control]) }
    refuse(.congestionControl, ["bbr": #""bbr" is not a congestion control; expected auto or system"#])
    refuse(
      ValueKind<Settings.Cipher>.choice("a cipher"),
      ["aes": #""aes" is not a cipher; expected auto, aes-256-gcm or chacha20-poly1305"#])
    refuse(
      .admission, ["closed": #""closed" is not a way to admit devices; expected invite, approve or open"#])
    #expect(try ValueKind.hostsFile.parse("auto") == .auto)
    #expect(try ValueKind.hostsFile.parse("off") == .off)
    #expect(try ValueKind.hostsFile.parse("/etc/hosts") == .path("/etc/hosts"))
    refuse(
      .hostsFile,
      [
        "hosts":
          #""hosts" is not a hosts file; expected auto, off or an absolute path of at most 1000 bytes, as /etc/hosts"#
      ])
    refuse(.offload, ["on": #""on" is not an offload setting; expected auto or off"#])
    refuse(
      .logLevel,
      ["warn": #""warn" is not a log level; expected trace, debug, info, notice, warning, error or critical"#])
  }
}
