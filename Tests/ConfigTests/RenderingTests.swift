import Config
import Testing
import Wire

@Suite struct RenderingTests {
  @Test func `several values are written as a list, and the reference's two keys as a server`() throws {
    #expect(try load("server: [a, 'b:1']").render().hasPrefix("server:\n  - a:3334\n  - b:1\nlog-level: info\n"))
    #expect(try load("server-ip: fd00::1\nport: 1").render().hasPrefix("server: \"[fd00::1]:1\"\nlog-level"))
  }

  @Test func `a mapping is written with its names in order`() throws {
    let text = try load("join: {peer-keys: {'null': \(ValueTests.other), a: \(ValueTests.device)}}").render()
    #expect(
      text.contains(
        "  peer-keys:\n    a: \(ValueTests.device)\n    \"null\": \(ValueTests.other)\n  names: auto\n  hosts-file: "
          + "auto\n"
          + "  peer-information: 250\n  direct: auto\n  direct-port: 0\n  direct-max-offline: 1d\nrelay:\n"),
      "\(text)"
    )
    #expect(try load("join: {peer-keys: {}}").render() == Settings().render())
  }

  @Test(arguments: [
    "null", "Null", "true", "off", "1e3", "0x10", "a", "~", "x#", "#x", "-", "&x", "*x", "!x", "+d", "'", "\"", "\\",
    "{", "[a]", "@",
  ])
  func `a text that YAML could take for something else is read back`(name: String) throws {
    var settings = Settings()
    settings.join.interface = name
    settings.relay.socket = "/run/\(name): é 日本 \u{2028}\u{200B}\u{FFFE}\u{E000}#"
    #expect(try load(settings.render()) == settings)
  }

  @Test func `what is written is read back as the same settings`() throws {
    var numbers = Numbers(state: 1)
    for _ in 0..<500 {
      let settings = Settings.arbitrary(&numbers)
      let text = settings.render()
      #expect(try load(text) == settings, "\(text)")
    }
  }
}

extension Settings {
  /// Any settings that a file could hold.
  fileprivate static func arbitrary(_ numbers: inout Numbers) -> Settings {
    var settings = Settings()
    let hosts = ["relay.example", "a", "192.0.2.1", "::", "2001:db8::1", "fe80::1%eth0"]
    settings.servers = hosts.shuffled(using: &numbers).prefix(.random(in: 0...3, using: &numbers)).map {
      ServerAddress(host: $0, port: .random(in: 1...UInt16.max, using: &numbers))
    }
    settings.serverKeys = (0..<Int.random(in: 0...2, using: &numbers)).map { _ in arbitraryKey(&numbers) }
    settings.deviceID = ["kitchen-hub", "null", "1e3", "a.b_c", nil].randomElement(using: &numbers)!
    settings.logLevel = LogLevel.allCases.randomElement(using: &numbers)!
    settings.join.interface = arbitraryName(&numbers)
    settings.join.mtu = .random(in: 576...65535, using: &numbers)
    settings.join.address = Bool.random(using: &numbers) ? IPv4Address(bits: 0x0A00_0007) : nil
    settings.join.timeout = .milliseconds(Int.random(in: 1000...3_600_000, using: &numbers))
    settings.join.offload = Offload.allCases.randomElement(using: &numbers)!
    settings.join.socket = "/run/" + arbitraryName(&numbers).filter { $0 != " " }
    settings.join.state = "/var/" + arbitraryName(&numbers)
    settings.join.cipher = Cipher.allCases.randomElement(using: &numbers)!
    settings.join.congestionControl = CongestionControl.allCases.randomElement(using: &numbers)!
    settings.join.names = Names.allCases.randomElement(using: &numbers)!
    settings.join.hostsFile =
      [.auto, .off, .path("/etc/" + arbitraryName(&numbers))].randomElement(using: &numbers)!
    for name in ["a", "null", "1e3", "x.y"].shuffled(using: &numbers).prefix(.random(in: 0...4, using: &numbers)) {
      settings.join.peerKeys[name] = arbitraryKey(&numbers)
    }
    settings.join.peerInformation = .random(in: 1...16384, using: &numbers)
    settings.join.orchestration = arbitraryOrchestration(&numbers)
    settings.relay.listen = ["::", "::1", "0.0.0.0"].shuffled(using: &numbers)
      .prefix(.random(in: 0...3, using: &numbers))
      .map { ServerAddress(host: $0, port: .random(in: 0...UInt16.max, using: &numbers)) }
    let address = IPv4Address(bits: .random(in: 0x8000_0000...0xDFFF_FFFF, using: &numbers))
    settings.relay.pool =
      Bool.random(using: &numbers)
      ? .auto : .prefix(IPv4Prefix(address, length: .random(in: 8...30, using: &numbers)))
    let high = 0xFD << 56 | UInt64.random(in: 0..<1 << 56, using: &numbers)
    let pool6 = IPv6Prefix(IPv6Address(high: high, low: 0), length: 96)
    settings.relay.pool6 = [.auto, .off, .prefix(pool6)].randomElement(using: &numbers)!
    settings.relay.leaseAge = .seconds(Int.random(in: 0...315_360_000, using: &numbers))
    for name in ["a", "null", "1e3", "x.y"].shuffled(using: &numbers).prefix(.random(in: 0...4, using: &numbers)) {
      settings.relay.addresses[name] = IPv4Address(bits: .random(in: 0x8000_0000...0xDFFF_FFFF, using: &numbers))
    }
    settings.relay.device = .random(using: &numbers)
    settings.relay.interface = arbitraryName(&numbers)
    settings.relay.mtu = .random(in: 576...65535, using: &numbers)
    settings.relay.offload = Offload.allCases.randomElement(using: &numbers)!
    settings.relay.congestionControl = CongestionControl.allCases.randomElement(using: &numbers)!
    settings.relay.keepalive = .milliseconds(500 * Int.random(in: 1...600, using: &numbers))
    settings.relay.idleKeepalive = .milliseconds(
      500 * Int.random(in: Int(settings.relay.keepalive / .milliseconds(500))...1200, using: &numbers))
    settings.relay.queue = 1024 * .random(in: 256...65536, using: &numbers)
    settings.relay.state = "/var/" + arbitraryName(&numbers)
    settings.relay.admission = AdmissionMode.allCases.randomElement(using: &numbers)!
    settings.relay.user = [.auto, .named("root"), .named("null")].randomElement(using: &numbers)!
    settings.relay.publicAddresses = settings.servers
    settings.relay.peerList = .random(in: 0...5000, using: &numbers)
    settings.relay.threads = Bool.random(using: &numbers) ? .auto : .count(.random(in: 1...64, using: &numbers))
    return settings
  }

  private static func arbitraryOrchestration(_ numbers: inout Numbers) -> Orchestration {
    let names = ["a", "null", "1e3", "x.y", "true"]
    let texts = ["", "1.0", "null", "- a", "a: b", "#", " é ", "\"", "\\n", "日本"]
    var information = Settings().join.orchestration
    if Bool.random(using: &numbers) { information.hostName = "null.lan" }
    if Bool.random(using: &numbers) { information.platform = "linux/riscv64" }
    if Bool.random(using: &numbers) { information.executionType = names.randomElement(using: &numbers) }
    func text(_ numbers: inout Numbers) -> String? {
      texts.randomElement(using: &numbers).flatMap { $0.isEmpty ? nil : $0 }
    }
    information.services = names.shuffled(using: &numbers).prefix(.random(in: 0...5, using: &numbers)).map { name in
      .init(
        name: name, version: text(&numbers), port: Bool.random(using: &numbers) ? 65535 : nil,
        protocol: Bool.random(using: &numbers) ? "null" : nil,
        health: Wire.Orchestration.Health.allCases.randomElement(using: &numbers)!)
    }
    for name in names.shuffled(using: &numbers).prefix(.random(in: 0...5, using: &numbers)) {
      information.labels[name] = text(&numbers)
    }
    return information
  }

  private static func arbitraryKey(_ numbers: inout Numbers) -> [UInt8] {
    (0..<32).map { _ in UInt8.random(in: 0...255, using: &numbers) }
  }

  private static func arbitraryName(_ numbers: inout Numbers) -> String {
    let bytes = (0..<Int.random(in: 3...15, using: &numbers)).map { _ in UInt8.random(in: 0x21...0x7E, using: &numbers)
    }
    return String(decoding: bytes, as: UTF8.self).replacing("/", with: "-").replacing(":", with: "+").replacing(
      "%", with: "_")
  }
}
