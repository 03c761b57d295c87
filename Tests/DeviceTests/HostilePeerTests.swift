import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// A hostile peer with a valid session.
@Suite struct HostilePeerTests {
  /// The second end is the device; the first one is the peer, and has no exchange of its own.
  private final class Scene {
    let pair: PumpPair
    let exchange: PeerExchange
    var lines: [String] { log.items }
    var record: PeerRecord? { pair.state(1)?.record }
    let changes = Mailbox<Orchestration>()
    private let log: Mailbox<String>

    init() throws {
      var settings = DeviceSettings(
        deviceID: "device-1", peers: PeerSettings(key: testKey("device-1")), trust: TrustAnybody(),
        route: .servers([]))
      settings.orchestration.revision = 100
      settings.orchestration.services = (0..<60).map { Orchestration.Service(name: "service-\($0)") }
      let log = Mailbox<String>()
      var made: PeerExchange?
      pair = try PumpPair { [changes] end, links, neighbourhood, loop in
        guard end == 1 else { return nil }
        made = PeerExchange(
          settings, neighbourhood, links, on: loop,
          onEvent: { event in
            if case .changed(_, let new) = event { changes.put(new) }
          }, onWarning: { log.put($0) })
        return made
      }
      self.log = log
      exchange = try #require(made)
      #expect(try exchangePackets())
    }

    /// Whether packets go both ways.
    func exchangePackets() throws -> Bool {
      try [0, 1].allSatisfy { end in
        let packet = datagram(from: pair.addresses[end], to: pair.addresses[1 - end], [1, 2, 3])
        try pair.send(packet, from: end)
        try pair.settle()
        return pair.received(1 - end) == packet
      }
    }

    func say(_ message: [UInt8]) throws {
      #expect(pair.pumps[0].links.send(message, to: try #require(pair.state(0))))
      try pair.settle()
    }

    func say(_ message: PeerMessage) throws { try say(message.encoded()) }
  }

  private static let valid = Orchestration(deviceID: "device-0", revision: 1, platform: "linux/arm64")

  static let refused: [[UInt8]] = [
    [], Array("{".utf8), [0xFF, 0xFE, 0x00], Array(#"{"type":"#.utf8),
    Array((#"{"type":"ask","x":"# + String(repeating: "[", count: 16_000)).utf8),
    Array((#"{"type":"ask","x":""# + String(repeating: "a", count: PeerMessage.maximumSize) + #""}"#).utf8),
    [UInt8](repeating: UInt8(ascii: "9"), count: 60_000),
    Array(#"{"type":"a"#.utf8) + [0xFF, 0xFE] + Array(#"sk"}"#.utf8),
    // An escape sequence as a name, another device's ID, an invalid platform.
    Array(
      (#"{"type":"orchestration","device_id":"device-0","labels":{},"platform":"linux/arm64","revision":1,"#
        + #""services":[{"name":"\u001b[2J","health":"up"}]}"#).utf8),
    PeerMessage.orchestration(Orchestration(deviceID: "device-1", revision: 9, platform: "linux/arm64")).encoded(),
    PeerMessage.orchestration(Orchestration(deviceID: "device-0", revision: 9, platform: "\u{1b}[31m")).encoded(),
    PeerMessage.orchestration(Orchestration(deviceID: "device-0", revision: -1, platform: "linux/arm64")).encoded(),
  ]

  @Test(arguments: refused) func `what is no message is refused, and the session goes on`(_ message: [UInt8]) throws {
    let scene = try Scene()
    try scene.say(message)
    #expect(scene.exchange.counters.refused == 1)
    #expect(scene.record?.orchestration == nil)
    let line = try #require(scene.lines.first)
    #expect(line.contains("device-0") && line.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 32 })
    #expect(line.utf8.count < 200)
    #expect(try scene.exchangePackets())
    try scene.say(.orchestration(Self.valid))
    #expect(scene.changes.items == [Self.valid])
  }

  @Test func `an old revision never takes the place of a newer one`() throws {
    let scene = try Scene()
    var information = Self.valid
    for revision in [5, 4, 5, 0, 6, 1] {
      information.revision = revision
      information.labels = ["told": "\(scene.changes.items.count)"]
      try scene.say(.orchestration(information))
    }
    #expect(scene.changes.items.map(\.revision) == [5, 6])
    #expect(scene.record?.orchestration?.labels == ["told": "1"])
  }

  @Test func `a flood of messages is read in part, and the session goes on`() throws {
    let scene = try Scene()
    for number in 0..<500 { try scene.say(.echo(number)) }
    let counters = scene.exchange.counters
    #expect(counters.limited > 300 && counters.received >= 50 && counters.received + counters.limited == 500)
    #expect(try scene.exchangePackets())
    #expect(scene.lines.isEmpty)
  }

  @Test func `questions do not make a device tell everything a thousand times`() throws {
    let scene = try Scene()
    let before = scene.exchange.counters.sent
    for _ in 0..<40 { try scene.say(.ask(have: nil)) }
    // The device also asks the peer once.
    #expect((10...16).contains(scene.exchange.counters.sent - before))
    #expect(scene.exchange.counters.limited >= 25)
  }

  @Test func `warnings about one after the other are few`() throws {
    let scene = try Scene()
    for _ in 0..<45 { try scene.say([0]) }
    #expect(scene.exchange.counters.refused == 45 && (1...15).contains(scene.lines.count))
  }

  @Test func `answers that nobody has asked for prove nothing but that the peer is there`() throws {
    let scene = try Scene()
    let before = try #require(scene.record).path.roundTrip
    for message in [PeerMessage.unchanged, .echoReply(7), .echoReply(-1), .ask(have: .max), .ask(have: -5)] {
      try scene.say(message)
    }
    let record = try #require(scene.record)
    #expect(record.orchestration == nil && record.path.roundTrip == before && record.path.lastProof != nil)
    #expect(scene.exchange.counters.refused == 0)
    // The device's own revision does not follow what a peer says of it.
    #expect(scene.exchange.own.revision == 100)
  }
}
