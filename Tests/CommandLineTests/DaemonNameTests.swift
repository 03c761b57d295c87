import Config
import Testing

@testable import CommandLine

@Suite struct DaemonNameTests {
  @Test func `a name is the relay, the device, or that of a network, whose socket follows from it`() {
    var settings = Settings()
    settings.relay.socket = "/a/relay.sock"
    settings.join.socket = "/a/device.sock"
    #expect(DaemonName("relay")?.socket(settings) == "/a/relay.sock")
    #expect(DaemonName("device")?.socket(settings) == "/a/device.sock")
    #expect(DaemonName("shop-2")?.socket(settings) == "/run/mnedc/mnedc-join@shop-2.sock")
  }

  @Test(arguments: ["", "Shop", "a/b", "../x", "a b", "a.b", "ü", String(repeating: "a", count: 65)])
  func `what is no name is refused`(text: String) {
    #expect(DaemonName(text) == nil)
  }

  @Test func `only sockets of named networks are found by their names`() {
    #expect(DaemonName(socketName: "mnedc-join@shop.sock") == NetworkName("shop").map(DaemonName.network))
    for other in ["mnedc-join.sock", "mnedcd.sock", "mnedc-join@.sock", "mnedc-join@relay.sock", "mnedc-join@a", "x"] {
      #expect(DaemonName(socketName: other) == nil)
    }
  }

  @Test func `what to type is the command as it was typed, with each daemon that may be meant`() {
    let places = [
      DaemonAddress(name: .relay, path: "/run/r.sock"), DaemonAddress(name: DaemonName("shop"), path: "/run/s.sock"),
    ]
    let failure = DaemonChoice<ConfigOptions>.ambiguous(places, ["mnedc-ctl", "announce", "--label", "a=it's b"])
    #expect(failure.status == .usage)
    #expect(
      failure.message.split(separator: "\n").dropFirst() == [
        #"  mnedc-ctl announce --label 'a=it'\''s b' --of relay  # mnedcd at /run/r.sock"#,
        #"  mnedc-ctl announce --label 'a=it'\''s b' --of shop  # mnedc-join --name shop at /run/s.sock"#,
      ])
    let behind = DaemonChoice<ConfigOptions>.ambiguous(places, ["mnedc-ctl", "log-level", "--", "debug"]).message
    #expect(behind.contains("  mnedc-ctl log-level --of relay -- debug  #"))
  }
}
