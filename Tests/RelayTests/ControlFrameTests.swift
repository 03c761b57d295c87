import Link
import Noise
import Relay
import SystemIO
import TestSupport
import Testing
import Wire

/// What the relay makes of the frames that are for itself, and of too many of them.
@Suite(.serialized) struct ControlFrameTests {
  private func refusal(_ message: ControlMessage) -> Refusal? {
    switch message {
    case .refused(let refusal), .nextKeyRefused(let refusal): refusal
    default: nil
    }
  }

  private func frame(_ text: String) -> [UInt8] { frameBytes(.control, Array(text.utf8)) }

  private func received(_ deviceID: String, _ relay: TestRelay) throws -> Int {
    try #require(relay.status()?.sessions.first { $0.deviceID == deviceID }).received.frames
  }

  @Test(arguments: ["ping", "unknown", "next-key", "locate", "sync"])
  func `a member that sends more than its share is read slowly, while others are served`(kind: String) throws {
    let relay = try TestRelay(threads: 1)
    defer { relay.stop() }
    let (flooder, _) = try relay.join("flooder")
    let (one, _) = try relay.join("one")
    let (two, second) = try relay.join("two")
    let plain =
      switch kind {
      case "ping": frameBytes(.ping, [1])
      case "unknown": frame(#"{"type":"song"}"#)
      case "next-key": ControlMessage.nextKey(KeyNotice(key: PrivateKey().publicKey)).frame()
      case "locate": ControlMessage.locate(.address(second)).frame()
      default: ControlMessage.sync.frame()
      }
    let limit = 3000
    let began = Instant.now()
    // What is sealed can be sent once only, so in this order.
    try flooder.send((0..<limit).flatMap { _ in (try? flooder.sealed(plain)) ?? [] })
    #expect(try wait { try received("flooder", relay) >= 2000 }, "what may come at once is dealt with")
    for number in UInt8(0)..<20 {
      try one.send(frameBytes(.data, [number], address: second))
      #expect(try two.receive(.data).payload == [number])
      try two.send(sealing: frameBytes(.ping, [number]))
      #expect(try two.receive(.pong).payload == [number])
    }
    let count = try received("flooder", relay)
    let seconds = Instant.now().since(began).seconds
    #expect(Double(count) <= 2000 + 500 * seconds + 128, "\(count) frames in \(seconds) s")
    // Whoever has sent too much once is not ended for it.
    #expect(try wait { try received("flooder", relay) >= limit })
  }

  @Test func `more handshakes with peers than anybody answers are not passed on`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one")
    let (two, second) = try relay.join("two")
    let began = Instant.now()
    let sender = SystemThread.start(name: "sender") { [client = Unchecked(one)] in
      let flood = (0..<20_000).flatMap { _ in frameBytes(.peerHandshake, [1], address: second) }
      try? client.value.send(flood + frameBytes(.data, [1], address: second))
    }
    var count = 0
    while try two.receive().header.type != .data { count += 1 }
    sender.join()
    let seconds = Instant.now().since(began).seconds
    // Control frames, such as the list of peers, are among them.
    #expect(Double(count) <= 4000 + 1000 * seconds + 20 && count > 0, "\(count) in \(seconds) s")
  }

  @Test func `one that has not joined has a smaller share`() throws {
    let relay = try TestRelay(admission: .approve)
    defer { relay.stop() }
    let stranger = try relay.ask("stranger")
    guard case .pending = try stranger.receive().message() else {
      Issue.record("it does not wait")
      return
    }
    let pings = (0..<200).flatMap { _ in (try? stranger.sealed(frameBytes(.ping, [7]))) ?? [] }
    let began = Instant.now()
    try stranger.send(pings)
    for _ in 0..<50 { _ = try stranger.receive(.pong) }
    var pongs = 50
    let end = Instant.now().advanced(by: .milliseconds(500))
    while Instant.now() < end, (try? stranger.receive(within: .milliseconds(200)))?.header.type == .pong { pongs += 1 }
    let seconds = Instant.now().since(began).seconds
    // A turn that has begun reads on.
    #expect(Double(pongs) < 150 + 10 * seconds, "\(pongs) pongs in \(seconds) s")
  }

  @Test func `a next key that is none, or the present one, is refused with words of its own`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one")
    let zero = try #require(PublicKey([UInt8](repeating: 0, count: PublicKey.size)))
    try one.send(.nextKey(KeyNotice(key: zero)))
    let none = try one.receive(refusal)
    #expect(none.code == .badRequest && none.text.contains("of small order"))
    try one.send(.nextKey(KeyNotice(key: testKey("one").publicKey)))
    let own = try one.receive(refusal)
    #expect(own.code == .keyBound && own.text.contains("that this device has already"))
    try one.send(.nextKey(KeyNotice(key: PrivateKey().publicKey)))
    let accepted = try one.receive { message -> Bool? in if case .nextKeyAccepted = message { true } else { nil } }
    #expect(accepted)
    // The fourth within half a minute is not even read.
    try one.send(sealing: frame(#"{"type":"next-key"}"#))
    #expect(try one.receive(refusal).code == .busy)
  }

  @Test(arguments: [
    #"{"type":"locate","address":"10.0.0.2","label":"one"}"#, #"{"type":"locate","address":null,"label":null}"#,
    #"{"type":"locate","label":"Not a label"}"#, #"{"type":"locate"}"#, #"{"type":"sync","x":1,"x":2}"#,
    #"{"type":"sync","x":"\ud800"}"#, #"{"type":"welcome"}"#, #"{"type":"pending"}"#, #"{"type":"drain"}"#,
  ])
  func `a message that cannot be read or is not for a relay ends the session`(text: String) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one")
    try one.send(sealing: frame(text))
    #expect(try one.receive(refusal).code == .protocolError)
    #expect(one.waitForEnd())
  }

  @Test func `null counts as absent, and a locate beyond the limit has no answer`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, address) = try relay.join("one")
    try one.send(sealing: frame(#"{"type":"locate","address":"\#(address)","label":null}"#))
    let found = try one.receive { message -> [String]? in
      if case .peers(let update) = message, update.since == update.revision {
        update.joined.map(\.deviceID)
      } else {
        nil
      }
    }
    #expect(found == ["one"])
    let absent = ControlMessage.locate(.address(IPv4Address(bits: address.bits + 9))).frame()
    let questions = (0..<1500).flatMap { _ in (try? one.sealed(absent)) ?? [] }
    let began = Instant.now()
    try one.send(questions)
    try one.send(sealing: frameBytes(.ping, [9]))
    var answers = 0
    while true {
      let next = try one.receive()
      if next.header.type == .pong { break }
      if next.header.type == .control, case .unreachable = try next.message() { answers += 1 }
    }
    let seconds = Instant.now().since(began).seconds
    #expect(answers >= 1000 && Double(answers) <= 1025 + 200 * seconds, "\(answers) answers in \(seconds) s")
  }

  // `@unchecked`: handed from one thread to another.
  private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }
}
