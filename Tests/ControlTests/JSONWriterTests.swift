import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import Control

@Suite struct JSONWriterTests {
  private static let full: PeersReport.Peer = {
    var peer = PeersReport.Peer(address: "10.0.0.3", address6: "fd00::3", deviceId: "cam", state: .silent)
    peer.path = "relay"
    peer.roundTripMs = 0.512
    peer.proofAge = 12
    peer.outerAddress = "192.0.2.7:40000"
    peer.connected = 1e-7
    peer.relayRoundTripMs = 1e20
    peer.revision = 1 << 53
    peer.hostName = "cam.lan"
    peer.platform = "linux/arm64"
    peer.executionType = "container"
    peer.services = [
      .init(name: "detector", version: "1.2", port: 8080, protocol: "http", health: .degraded), .init(name: "x"),
    ]
    peer.labels = ["zone": "Hälle \"7\"\\", "deviceId": "\u{8}\t\n\u{C}\r\u{1}\u{1F}/é😀", "a_b": "c"]
    peer.load = 0.25
    peer.place = .init(outer: "192.0.2.7", local: "192.168.1.2", hops: ["192.168.1.1"])
    return peer
  }()

  private static let colliding = {
    var report = PeersReport(network: nil, self: nil, complete: true, peers: [])
    report.collision = "the network 10.0.0.0/24 overlaps with 10.0.0.0/29 on docker0"
    return report
  }()

  private static let reports = [
    PeersReport(network: nil, self: nil, complete: false, peers: []), colliding,
    PeersReport(
      network: "10.0.0.0/24", relayAddress: "10.0.0.1",
      self: .init(address: "10.0.0.2", address6: "fd00::2", deviceId: "hub", state: .online),
      complete: true,
      peers: [full, .init(address: "10.0.0.4", deviceId: "plain", state: .online)]),
    cutOff,
  ]

  private static let cutOff: PeersReport = {
    var report = PeersReport(
      network: "10.0.0.0/24", self: nil, complete: true,
      peers: [.init(address: "10.0.0.4", deviceId: "plain", state: .unknown)])
    report.disconnected = "waiting before the next attempt; last error (1 s ago): \"refused\""
    return report
  }()

  /// What the standard library's way makes of it.
  private func standard(_ value: some Encodable, isPretty: Bool = false) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  @Test(arguments: reports)
  func `what is written by hand is what Codable writes`(report: PeersReport) throws {
    #expect(String(decoding: JSON.line(report), as: UTF8.self) == (try standard(report)) + "\n")
    let event = PeerEventReport(.changed, time: 1_800_000_000, peer: Self.full, report: report)
    #expect(String(decoding: JSON.line(event), as: UTF8.self) == (try standard(event)) + "\n")
    let pretty = JSON.pretty(report)
    #expect(JSON.decode(PeersReport.self, pretty.utf8) == report)
    if !report.peers.isEmpty { #expect(pretty == (try standard(report, isPretty: true))) }
  }

  @Test func `an error is read in the place of a report`() {
    let line = Array(#"{"error":{"code":"busy","text":"later"},"version":1}"#.utf8)
    let response = JSON.decode(ControlResponse<PeersReport>.self, line)
    #expect(response?.error == ControlError(.busy, "later") && response?.result == nil)
  }

  @Test func `an answer of another version is refused`() throws {
    let whole = String(decoding: JSON.line(Self.reports[0]), as: UTF8.self)
    for version in ["0", "2", "\"1\"", "1.5", "null"] {
      let other = whole.replacing(#""version":1}"#, with: #""version":\#(version)}"#)
      #expect(other != whole && JSON.decode(PeersReport.self, other.utf8) == nil, "\(version)")
      #expect(JSON.decode(ControlResponse<Done>.self, #"{"result":{},"version":\#(version)}"#.utf8) == nil)
    }
    #expect(JSON.decode(ControlResponse<Done>.self, #"{"result":{}}"#.utf8) == nil)
  }

  @Test func `no cut or changed byte of a report does harm`() throws {
    let whole = Array(try standard(Self.reports[1]).utf8)
    for count in 0..<whole.count { #expect(JSON.decode(PeersReport.self, whole[..<count]) == nil) }
    var generator = FixedRandom(seed: 7)
    for _ in 0..<2000 {
      var changed = whole
      changed[Int.random(in: 0..<changed.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      _ = JSON.decode(PeersReport.self, changed)
    }
    #expect(JSON.decode(PeersReport.self, [UInt8](repeating: UInt8(ascii: "["), count: 100_000)) == nil)
  }
}
