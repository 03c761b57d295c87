import Config
import Testing

@Suite struct NetworkNameTests {
  @Test(arguments: ["a", "shop", "site-2", "ninebytes", "0"])
  func `a name gives the network things of its own`(name: String) throws {
    let network = try ValueKind<NetworkName>.network.parse(name)
    let settings = Settings(in: network)
    #expect(settings.join.interface == "mnedc-\(name)" && network.configuration == "/etc/mnedc/\(name).yaml")
    #expect(settings.join.socket == "/run/mnedc/mnedc-join@\(name).sock")
    #expect(settings.join.state == "/var/lib/mnedc-join@\(name)")
    #expect(try ValueKind<String>.interface.parse(settings.join.interface) == "mnedc-\(name)")
    #expect(Settings().changes(to: settings, for: .relay) == [])
  }

  @Test(arguments: ["", "relay", "device", "mnedc", "Shop", "a_b", "a.b", "a/b", "-a", "a-", "ten-letter", "ä"])
  func `what would be ambiguous, or no name of an interface, is refused`(name: String) {
    #expect(throws: (any Error).self) { try ValueKind<NetworkName>.network.parse(name) }
  }

  @Test func `the file counts for more than the name`() throws {
    let network = Settings(in: try ValueKind<NetworkName>.network.parse("shop"))
    let settings = try Settings.load(Array("join: {interface: tun7}".utf8), file: "shop.yaml", over: network)
    #expect(settings.join.interface == "tun7" && settings.join.state == "/var/lib/mnedc-join@shop")
  }

  @Test func `without a name nothing changes`() {
    #expect(Settings(in: nil) == Settings())
  }
}
