import Config
import Testing
import Wire

/// What other programs write, and YAML 1.1 means.
@Suite struct YAMLTypeTests {
  @Test(arguments: ["true", "True", "TRUE", "yes", "Yes", "on", "ON", "y", "!!bool yes", "\"True\""])
  func `every word for true is true, and its opposite false`(word: String) throws {
    #expect(try load("join: {allow-overlap: \(word)}").join.allowOverlap)
    let opposites = [
      "true": "false", "True": "False", "TRUE": "FALSE", "yes": "no", "Yes": "No", "on": "off", "ON": "OFF", "y": "n",
      "!!bool yes": "!!bool no", "\"True\"": "\"False\"",
    ]
    let opposite = try #require(opposites[word])
    #expect(try load("relay: {device: \(opposite)}").relay.device == false)
  }

  @Test(arguments: ["off", "'off'", "False", "false", "no", "NO", "!!str off", "! off"])
  func `what is off can be a word for false, as a program writes it that has read off`(word: String) throws {
    let settings = try load(
      "join: {names: \(word), hosts-file: \(word), offload: \(word)}\nrelay: {pool6: \(word), offload: \(word)}")
    #expect(settings.join.names == .off && settings.join.hostsFile == .off && settings.join.offload == .off)
    #expect(settings.relay.pool6 == .off && settings.relay.offload == .off)
  }

  @Test func `a text stays the text that it is`() throws {
    let settings = try load(
      """
      device-id: no
      join:
        orchestration: {host-name: Yes, services: [on, 0x10], labels: {y: true, off: 1_000, "null": 010, a: "~"}}
      relay: {user: off, addresses: {True: 10.0.0.9}}
      """)
    #expect(settings.deviceID == "no" && settings.relay.user == .named("off"))
    #expect(settings.join.orchestration.hostName == "Yes")
    #expect(settings.join.orchestration.services.map(\.name) == ["on", "0x10"])
    #expect(settings.join.orchestration.labels == ["y": "true", "off": "1_000", "null": "010", "a": "~"])
    #expect(settings.relay.addresses.keys.sorted() == ["True"])
    #expect(try load(settings.render()) == settings)
  }

  @Test(arguments: ["0x578", "0b10101111000", "1_400", "+1400", "!!int 1400", "!!int \"1400\""])
  func `a number in another form is that number`(number: String) throws {
    #expect(try load("join: {mtu: \(number)}").join.mtu == 1400)
    #expect(try load("relay: {queue: 0x10_0000}").relay.queue == 1 << 20)
  }

  @Test func `a number that is octal to YAML and decimal to people is refused with both`() {
    #expect(
      complaints("server-ip: a\nport: 03334") == [
        #"2:7: "03334" begins with 0, so YAML takes it for the octal form of 1756; write 1756 if that is meant, else "#
          + "leave out the 0"
      ])
    #expect(
      complaints("server-ip: a\nport: \"03334\"") == [
        #"2:7: "03334" is not a port; expected a whole number from 1 to 65535"#
      ])
    #expect(complaints("join: {mtu: 0x}") == [#"1:13: "0x" is not an MTU; expected a whole number from 576 to 65535"#])
    #expect(complaints("join: {mtu: 0x-5}").count == 1 && complaints("join: {mtu: '0x578'}").count == 1)
  }

  @Test(arguments: ["null", "~", "Null", "!!null ''"])
  func `a key without a value by its word is left at its default`(word: String) throws {
    let text = """
      server: \(word)
      server-key: \(word)
      device-id: \(word)
      join: {mtu: \(word), peer-keys: \(word), on-peer: \(word), orchestration: {services: \(word), labels: \(word)}}
      relay: \(word)
      metrics: {listen: \(word)}
      """
    #expect(try load(text) == Settings())
    #expect(complaints("join: {mtu: 'null'}").count == 1)
  }

  @Test func `an empty list is no value where that is the default`() throws {
    let text = """
      server: []
      server-key: []
      metrics: {listen: []}
      join: {on-peer: [], orchestration: {services: [], labels: {}}, peer-keys: {}}
      relay: {public-address: [], addresses: {}}
      """
    #expect(try load(text) == Settings())
  }

  @Test func `a merge key gives what another mapping has, and own keys win wherever they stand`() throws {
    let settings = try load(
      """
      x-usual: &usual
        mtu: 1300
        offload: off
      x-other: &other {mtu: 1200, interface: other0, offload: auto}
      join: {<<: *usual, mtu: 1280}
      relay:
        interface: relay0
        <<: [*usual, *other]
      """)
    #expect(settings.join.mtu == 1280 && settings.join.offload == .off)
    #expect(settings.relay.mtu == 1300 && settings.relay.offload == .off && settings.relay.interface == "relay0")
    let nested = try load("x-a: &a {mtu: 1300}\nx-b: &b {<<: *a, offload: off}\njoin: {<<: *b}")
    #expect(nested.join.mtu == 1300 && nested.join.offload == .off)
    let services = "join: {orchestration: {services: [&s {name: a, port: 80, protocol: http}, {<<: *s, name: b}]}}"
    #expect(try load(services).join.orchestration.services.map(\.port) == [80, 80])
  }

  @Test(arguments: [
    Bad(
      "join: {<<: 1}",
      "1:12: text instead of a mapping; the merge key (<<) takes a mapping or a list of them, such as *name"),
    Bad("x-a: &a [b]\njoin: {<<: [*a]}", "1:6: a list instead of a mapping; the merge key (<<) takes"),
    Bad("join: &a {<<: *a}", #"1:15: the alias "a" stands inside the value that it names"#),
    Bad("x-a: &a {mut: 1}\njoin: {<<: *a}", #"1:10: unknown key "mut"; did you mean "mtu"?"#),
    Bad("join: {'<<': {mtu: 1}}", #"1:8: unknown key "<<"; the keys here are"#),
    Bad("join: {mtu: 1300, mtu: 1300, <<: {}}", #"1:19: duplicate key "mtu"; first given on line 1"#),
  ])
  func `what cannot be merged is refused where it stands`(bad: Bad) {
    #expect(
      complaints(bad.text).count == 1 && complaints(bad.text)[0].hasPrefix(bad.complaint), "\(complaints(bad.text))")
  }

  @Test func `merge keys do not multiply what a few lines stand for`() {
    let values = [String](repeating: "v", count: 9).joined(separator: ", ")
    var text = "x-a: &a {k: [\(values)]}\n"
    for (name, last) in zip("bcdefghi", "abcdefgh") {
      let merged = [String](repeating: "{<<: *\(last), z: *\(last)}", count: 9)
      text += "x-\(name): &\(name) {k: [\(merged.joined(separator: ", "))]}\n"
    }
    #expect(complaints(text).count == 1 && complaints(text)[0].contains("more than 10000 values, aliases expanded"))
  }

  @Test func `a file as PyYAML writes it is read`() throws {
    // yaml.dump, and Ansible's to_nice_yaml, of what a playbook has in variables.
    let settings = try load(
      """
      ---
      device-id: 'on'
      join:
          allow-overlap: true
          hosts-file: false
          names: 'off'
          on-peer: null
          orchestration:
              labels: &id001
                  gpu: 'yes'
                  rack: '007'
              services:
              -   name: camera
                  port: 554
                  version: '1.10'
      metrics:
          listen: []
      relay:
          addresses: {}
          listen:
          - '[::]:3334'
          - 127.0.0.1:9834
          lease-age: !!python/unicode '30d'
          pool: 10.44.0.0/16
      ...

      """)
    #expect(settings.deviceID == "on" && settings.join.allowOverlap && settings.join.names == .off)
    #expect(settings.join.hostsFile == .off && settings.relay.listen.count == 2)
    #expect(settings.join.orchestration.labels == ["gpu": "yes", "rack": "007"])
  }

  // MARK: Characters that nobody sees

  @Test(arguments: [
    Bad("join:\n  \u{A0}names: off", "2:3: a no-break space (U+00A0)"),
    Bad("names\u{200B}: off", "1:6: a zero-width space (U+200B)"),
    Bad("server:\u{A0}relay.example", "1:8: a no-break space (U+00A0)"),
    Bad("join:\n  names: off\n\u{3000}\u{3000}mtu: 1400", "3:1: an ideographic space (U+3000)"),
    Bad("server: relay.example\u{FEFF}", "1:22: a byte order mark (U+FEFF)"),
    Bad("log-level: debug\n\u{FEFF}server: a", "2:1: a byte order mark (U+FEFF)"),
    Bad("join: {state: /var/lib/\u{AD}x}", "1:24: a soft hyphen (U+00AD)"),
    Bad("server:\n-\u{2009}a", "2:2: a space of another width (U+2009)"),
    Bad("server: \u{202E}a", "1:9: a mark for the direction of writing (U+202E)"),
    Bad("server:\u{202F}a\njoin: {}", "1:8: a narrow no-break space (U+202F)"),
    Bad("device-id: \u{E0041}", "1:12: an invisible character (U+E0041)"),
  ])
  func `a character that nobody sees, or that looks like a space, is named`(bad: Bad) {
    let found = complaints(bad.text)
    #expect(found.count == 1 && found[0].hasPrefix("\(bad.complaint) stands here, which "), "\(found)")
  }

  @Test func `such a character may stand in a comment, and in quotes where the value takes it`() throws {
    #expect(try load("# a\u{A0}b\u{200B}\nserver: a # c\u{A0}d").servers.count == 1)
    #expect(try load("join: {state: \"/srv/a\u{A0}b\"}").join.state == "/srv/a\u{A0}b")
    #expect(
      complaints("\"\u{A0}server\": a").first?.hasPrefix(#"1:1: unknown key "\xA0server"; did you mean "server"?"#)
        == true)
    #expect(complaints("# \u{A0}\nserver: [a").count == 1 && !complaints("# \u{A0}\nserver: [a")[0].contains("U+00A0"))
  }

  @Test func `a file of Windows is read like any other`() throws {
    #expect(try load("\u{FEFF}server: a\r\njoin:\r\n  mtu: 1300\r\n  names: off\r\n").join.mtu == 1300)
    #expect(try load("server:\ta\njoin:\t{mtu:\t1300}\t\n").join.mtu == 1300)
  }
}
