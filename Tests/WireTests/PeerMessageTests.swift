import Testing
import Wire

@Suite struct PeerMessageTests {
  private static func decode(_ text: String) throws -> PeerMessage? {
    try Array(text.utf8).withUnsafeBytes { try PeerMessage.decode($0) }
  }

  private static let camera = Orchestration(
    deviceID: "cam", revision: 7, hostName: "cam.lan", platform: "linux/arm64", executionType: "container",
    services: [.init(name: "detector", version: "1.2", port: 8080, protocol: "http", health: .degraded)],
    labels: ["zone": "hall"], load: 0.5, place: .init(outer: "192.0.2.1", local: "fd00::2", hops: ["10.1.1.1"]))

  /// Every kind of message with its exact text, which other implementations rely on.
  static let examples: [(message: PeerMessage, json: String)] = [
    (.ask(have: nil), #"{"type":"ask"}"#),
    (.ask(have: 7), #"{"have":7,"type":"ask"}"#),
    (.unchanged, #"{"type":"unchanged"}"#),
    (.echo(1), #"{"number":1,"type":"echo"}"#),
    (.echoReply(1), #"{"number":1,"type":"echo-reply"}"#),
    (
      .candidates(tcp: ["192.0.2.1:40000", "[2001:db8::1]:40000"]),
      #"{"tcp":["192.0.2.1:40000","[2001:db8::1]:40000"],"type":"candidates"}"#
    ),
    (.candidates(tcp: []), #"{"tcp":[],"type":"candidates"}"#),
    (
      .orchestration(camera),
      #"{"device_id":"cam","execution_type":"container","host_name":"cam.lan","labels":{"zone":"hall"},"load":0.5,"#
        + #""place":{"hops":["10.1.1.1"],"local":"fd00::2","outer":"192.0.2.1"},"platform":"linux/arm64","revision":7,"#
        + #""services":[{"health":"degraded","name":"detector","port":8080,"protocol":"http","version":"1.2"}],"#
        + #""type":"orchestration"}"#
    ),
    (
      .orchestration(Orchestration(deviceID: "cam", revision: 0, platform: "linux/arm64")),
      #"{"device_id":"cam","labels":{},"platform":"linux/arm64","revision":0,"services":[],"type":"orchestration"}"#
    ),
  ]

  @Test(arguments: examples) func `a message is the JSON that the manual shows, both ways`(
    _ message: PeerMessage, _ json: String
  ) throws {
    #expect(String(decoding: message.encoded(), as: UTF8.self) == json)
    #expect(try Self.decode(json) == message)
  }

  @Test func `what a newer version may add is ignored`() throws {
    #expect(try Self.decode(#"{"type":"song"}"#) == nil)
    #expect(try Self.decode(#"{"type":"echo","number":3,"colour":"blue"}"#) == .echo(3))
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"type":7}"#, #"{"type":"echo"}"#, #"{"type":"echo","number":1.5}"#,
    #"{"type":"echo","number":99999999999999999999}"#, #"{"type":"orchestration"}"#,
    #"{"type":"ask","have":"x"}"#,
    #"{"type":"orchestration","device_id":"cam","labels":{},"platform":"linux/arm64","revision":0,"#
      + #""services":[{"name":"a","health":"fine"}]}"#,
  ]) func `what is no message is refused`(_ text: String) {
    #expect(throws: WireError.self) { try Self.decode(text) }
  }

  @Test func `deep, huge and broken texts are refused`() {
    #expect(throws: WireError.self) {
      try Self.decode(#"{"type":"ask","x":"# + String(repeating: "[", count: 16_000))
    }
    #expect(throws: WireError.self) {
      try Self.decode(#"{"type":"ask","x":""# + String(repeating: "a", count: PeerMessage.maximumSize) + #""}"#)
    }
    let broken = Array(#"{"type":"a"#.utf8) + [0xFF, 0xFE] + Array(#"sk"}"#.utf8)
    #expect(throws: WireError.self) { try broken.withUnsafeBytes { try PeerMessage.decode($0) } }
  }

  @Test(arguments: ["docker", "linux/arm64/v8", "!", String(repeating: "~", count: 64)])
  func `a platform is any token of visible characters`(platform: String) throws {
    let message = PeerMessage.orchestration(Orchestration(deviceID: "cam", revision: 0, platform: platform))
    #expect(try message.encoded().withUnsafeBytes { try PeerMessage.decode($0) } == message)
  }

  static let invalid: [@Sendable (inout Orchestration) -> Void] = [
    { $0.deviceID = "" }, { $0.deviceID = "a b" }, { $0.revision = -1 }, { $0.revision = .max },
    { $0.hostName = "a..b" }, { $0.hostName = String(repeating: "a", count: 254) }, { $0.platform = "" },
    { $0.platform = "a b" }, { $0.platform = "ä" }, { $0.platform = String(repeating: "a", count: 65) },
    { $0.platform = "\u{1B}[2J/arm64" }, { $0.executionType = "" },
    { $0.services[0].name = "\u{1B}]0;owned\u{7}" }, { $0.services[0].version = "1\n2" },
    { $0.services[0].version = "" }, { $0.services[0].port = 0 }, { $0.services[0].port = 65_536 },
    { $0.services[0].protocol = "t c p" }, { $0.services.append($0.services[0]) },
    { $0.services = (0...64).map { .init(name: "s\($0)") } }, { $0.labels["\u{202E}"] = "x" },
    { $0.labels["x"] = "\u{202E}gnp" }, { $0.labels["x"] = String(repeating: "ä", count: 128) },
    { information in for number in 0...64 { information.labels["l\(number)"] = "x" } },
    { $0.load = -0.1 }, { $0.load = .nan }, { $0.load = 1001 }, { $0.place?.outer = "nowhere" },
    { $0.place?.hops = Array(repeating: "10.0.0.1", count: 9) },
  ]

  @Test(arguments: invalid.indices) func `information that is not valid is refused whole`(_ index: Int) {
    var information = Self.camera
    Self.invalid[index](&information)
    #expect(information.problem != nil)
  }

  @Test func `valid information has no problem`() {
    #expect(Self.camera.problem == nil)
    var full = Self.camera
    full.services = (0..<64).map { .init(name: "s\($0)") }
    full.labels = ["größe": "x"]
    #expect(full.problem == "a label's name is none")
    full.labels = ["size": "größer"]
    #expect(full.problem == nil)
  }
}

@Suite struct HostLabelTests {
  @Test(arguments: [("kitchen-hub", "kitchen-hub"), ("Kitchen.Hub", "kitchen-hub"), ("a_1.B", "a-1-b"), ("7", "7")])
  func `an ID has a label`(_ deviceID: String, _ label: String) {
    #expect(HostLabel.label(of: deviceID) == label)
  }
}
