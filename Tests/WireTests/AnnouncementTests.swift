import Testing
import Wire

@Suite struct AnnouncementTests {
  private let base = Orchestration(
    deviceID: "cam", revision: 7, platform: "linux/arm64",
    services: [.init(name: "detector", version: "1", port: 80, protocol: "http"), .init(name: "camera")],
    labels: ["zone": "hall", "gpu": "no"])

  @Test func `what was announced counts, and what it leaves open is as it was`() {
    let announcement = Announcement(
      services: [.init(name: "detector", version: "2", health: .down), .init(name: "speaker", port: 99)],
      labels: ["gpu": "yes", "floor": "2"])
    var expected = base
    expected.services = [
      .init(name: "detector", version: "2", port: 80, protocol: "http", health: .down), .init(name: "camera"),
      .init(name: "speaker", port: 99),
    ]
    expected.labels = ["zone": "hall", "gpu": "yes", "floor": "2"]
    #expect(announcement.on(base) == expected)
    #expect(announcement.fitting(on: base).information == expected)
    #expect(Announcement().on(base) == base)
  }

  @Test func `what has no room is left out and named, and the rest is told`() {
    var full = base
    full.services = (0..<Orchestration.maximumServices).map { .init(name: "s\($0)") }
    let announcement = Announcement(
      services: [.init(name: "more"), .init(name: "s1", health: .down)], labels: ["a": "b"])
    #expect(announcement.on(full).obstacle == "it has more than 64 services")
    let (information, leftOut) = announcement.fitting(on: full)
    #expect(leftOut == ["more"])
    #expect(information.services[1].health == .down && information.labels["a"] == "b")
    #expect(information.obstacle == nil)
  }

  @Test func `what is too long for a message is left out`() {
    let labels = (0..<Orchestration.maximumLabels).map { ("l\($0)", String(repeating: "é", count: 127)) }
    let announcement = Announcement(labels: Dictionary(labels) { first, _ in first })
    let (information, leftOut) = announcement.fitting(on: base)
    #expect(announcement.on(base).obstacle != nil && !leftOut.isEmpty)
    #expect(information.largestSize <= Orchestration.maximumSize)
    #expect(PeerMessage.orchestration(information).encoded().count <= PeerMessage.maximumSize)
  }

  @Test func `the largest size is no smaller than any that comes to be`() {
    var information = base
    let largest = base.largestSize
    information.deviceID = String(repeating: "d", count: 63)
    information.hostName = String(repeating: "h", count: 253)
    information.revision = Orchestration.revisions.upperBound
    information.load = 999.9999999999999
    information.place = .init(outer: "203.0.113.200", local: "2001:db8:1111:2222:3333:4444:5555:6666", hops: [])
    information.place?.hops = [String](repeating: "192.168.100.100", count: 8)
    #expect(information.size <= largest)
  }

  @Test func `it is written and read back`() throws {
    let announcement = Announcement(
      services: [.init(name: "a", version: "\"\\", port: 1, protocol: "p", health: .degraded)], labels: ["zone_a": "é/"]
    )
    #expect(Announcement(decoding: announcement.encoded()) == announcement)
    #expect(
      String(decoding: Announcement(labels: ["a": "b"]).encoded(), as: UTF8.self)
        == #"{"labels":{"a":"b"},"services":[],"version":1}"# + "\n")
  }

  @Test(arguments: [
    "", "{}", "[]", "null", #"{"labels":{},"services":[]}"#, #"{"labels":{},"services":[],"version":2}"#,
    #"{"labels":{"a b":"c"},"services":[],"version":1}"#, #"{"labels":{"a":"\u0007"},"services":[],"version":1}"#,
    #"{"labels":{},"services":[{"name":"a"}],"version":1}"#,
    #"{"labels":{},"services":[{"name":"a","health":"up","port":0}],"version":1}"#,
    #"{"labels":{},"services":[{"name":"a","health":"up"},{"name":"a","health":"down"}],"version":1}"#,
  ]) func `what no program of ours has written is refused`(_ text: String) {
    #expect(Announcement(decoding: Array(text.utf8)) == nil)
  }
}
