import Glibc
import Link
import Noise
import Relay
import SystemIO
import TestSupport
import Testing
import Wire

@Suite(.serialized) struct RelayTests {
  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  private func refusal(_ message: ControlMessage) -> Refusal? {
    if case .refused(let refusal) = message { refusal } else { nil }
  }

  @Test func `a frame arrives with the sender's address in place of the receiver's`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, first) = try relay.join("one")
    let (two, second) = try relay.join("two")
    try one.send(frameBytes(.data, [1, 2, 3], address: second, flow: 7))
    let frame = try two.receive(.data)
    #expect(frame.header == FrameHeader(type: .data, length: 3, address: first, flow: 7))
    #expect(frame.payload == [1, 2, 3])
  }

  @Test func `frames of all sizes for changing destinations arrive whole and in order`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (sender, _) = try relay.join("sender")
    let receivers = try (0..<3).map { try relay.join("receiver-\($0)") }
    var random = FixedRandom(seed: 1)
    var expected: [[[UInt8]]] = [[], [], []]
    var stream: [UInt8] = []
    // As much as the sockets' buffers hold, or a receiver that reads late would lose frames, as it should.
    for number in 0..<63 {
      let target = number < 60 ? Int.random(in: 0..<3, using: &random) : number - 60
      let size = number < 60 ? [0, 1, 60, 1500, 10_000].randomElement(using: &random) ?? 0 : FrameHeader.maximumPayload
      let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ number) }
      expected[target].append(payload)
      stream += frameBytes(.data, payload, address: receivers[target].address, flow: UInt16(number))
    }
    try sender.send(stream)
    for (receiver, payloads) in zip(receivers, expected) {
      for payload in payloads { #expect(try receiver.client.receive(.data).payload == payload) }
    }
  }

  @Test func `a sender learns at once that nobody has an address`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, _) = try relay.join("one")
    for absent in [address(99), address(255), IPv4Address(bits: 0), .limitedBroadcast] {
      try client.send(frameBytes(.data, [1], address: absent))
      let told = try client.receive { message -> IPv4Address? in
        if case .unreachable(let notice) = message { notice.address } else { nil }
      }
      #expect(told == absent)
    }
  }

  @Test func `the 300th join of a /24 says that the pool is full and hurts nobody`() throws {
    let relay = try TestRelay(leaseAge: .zero)
    defer { relay.stop() }
    var members: [(client: RawFrameClient, address: IPv4Address)] = []
    var refusals: [Refusal] = []
    for number in 1...300 {
      do {
        members.append(try relay.join("device-\(number)"))
      } catch let refusal as Refusal {
        refusals.append(refusal)
      }
    }
    #expect(members.count == 253)
    #expect(Set(members.map(\.address)).count == 253)
    #expect(refusals.count == 47)
    #expect(refusals.allSatisfy { $0.code == .poolFull && $0.text.contains("10.0.0.0/24") })
    try members[0].client.send(frameBytes(.data, [42], address: members[252].address))
    #expect(try members[252].client.receive(.data).payload == [42])

    // One leaves, and its address is used again.
    try members[100].client.send(.leave)
    #expect(members[100].client.waitForEnd())
    let (_, address) = try relay.join("newcomer")
    #expect(address == members[100].address)
  }

  @Test func `the same process that comes back ends with exactly one live session`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (old, first) = try relay.join("one", instance: "same")
    let (new, second) = try relay.join("one", instance: "same")
    #expect(first == second)
    #expect(try old.receive(refusal).code == .sessionReplaced)
    #expect(relay.status()?.sessions.map(\.deviceID) == ["one"])
    try new.send(frameBytes(.data, [6], address: second))
    #expect(try new.receive(.data).payload == [6])
  }

  @Test func `a key in use by a living device is refused to a copy of it`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (old, address) = try relay.join("one", instance: "older")
    let newcomer = try relay.ask("one", instance: "newer")
    // The older one proves that it lives by its echo.
    let ping = try old.receive(.ping)
    try old.send(sealing: frameBytes(.pong, ping.payload))
    let refused = try newcomer.receive(refusal)
    #expect(refused.code == .keyInUse && refused.text.contains("--reset"))
    #expect(relay.status()?.sessions.map(\.address) == [address])
  }

  @Test func `a proof given once does not shorten the time for the next one`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (old, _) = try relay.join("one", instance: "older")
    for twin in ["first twin", "second twin"] {
      let newcomer = try relay.ask("one", instance: twin)
      let ping = try old.receive(.ping)
      // The second proof takes longer than what is left of the first one's time.
      usleep(1_200_000)
      try old.send(sealing: frameBytes(.pong, ping.payload))
      #expect(try newcomer.receive(refusal).code == .keyInUse)
    }
  }

  @Test func `a session that does not echo gives way to a newcomer with its key`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (old, first) = try relay.join("one", instance: "older")
    let (new, second) = try relay.join("one", instance: "newer")
    #expect(first == second)
    #expect(old.waitForEnd())
    #expect(relay.status()?.sessions.count == 1)
    try new.send(frameBytes(.data, [6], address: second))
    #expect(try new.receive(.data).payload == [6])
  }

  @Test(arguments: [0, 1, 2896, HandshakeHello.maximumPadding])
  func `the relay answers the handshake with as much padding as it gets`(_ padding: Int) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let client = try RawFrameClient(connectingTo: relay.address)
    let hello = HandshakeHello(keyHint: 0)
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: PrivateKey())
    let first = try handshake.write([UInt8](repeating: 0, count: padding))
    try client.send(frameBytes(.handshake, hello.bytes + first))
    let answer = try client.receive(.handshake).payload.withUnsafeBytes { try handshake.read($0) }
    let greeting = try RelayGreeting(parsing: answer)
    #expect(greeting.padding == padding && greeting.network != nil)
  }

  @Test func `a silent device is asked for an echo, and ended if it gives none`() throws {
    let relay = try TestRelay(keepalive: .milliseconds(500))
    defer { relay.stop() }
    let (dead, deadAddress) = try relay.join("dead")
    let (alive, _) = try relay.join("alive")
    let left = try alive.receive { message -> [IPv4Address]? in
      if case .peers(let update) = message, !update.left.isEmpty { update.left } else { nil }
    }
    #expect(left == [deadAddress])
    #expect(dead.waitForEnd())
  }

  @Test func `devices are told of each other, in revisions without a gap`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (first, own) = try relay.join("first")
    var revision = 0
    var peers: Set<String> = []
    func follow(until wanted: Set<String>) throws {
      while peers != wanted {
        let update = try first.receive { message -> PeerUpdate? in
          if case .peers(let update) = message { update } else { nil }
        }
        if let since = update.since { #expect(since <= revision) } else { peers = [] }
        revision = update.revision
        for address in update.left { peers = peers.filter { !$0.hasSuffix(" \(address)") } }
        for peer in update.joined where peer.address != own { peers.insert("\(peer.deviceID) \(peer.address)") }
      }
    }
    let (second, address) = try relay.join("second")
    try follow(until: ["second \(address)"])
    try second.send(.leave)
    try follow(until: [])
    try first.send(.sync)
    let everything = try first.receive { message -> PeerUpdate? in
      if case .peers(let update) = message, update.since == nil { update } else { nil }
    }
    #expect(everything.revision >= revision)
  }

  @Test(arguments: [
    frameBytes(.data, [1], address: IPv4Address(bits: 1)),
    frameBytes(.handshake, Array("GET / HTTP/1.1\r\n\r\n".utf8)),
    frameBytes(.handshake, Array(#"{"type":"leave"}"#.utf8)),
    frameBytes(.control, Array(#"{"type":"sync"}"#.utf8)),
    Array("GET / HTTP/1.1\r\nHost: relay\r\n\r\n".utf8),
    [UInt8](repeating: 0xFF, count: 64),
    [1, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0],
    // The header of a long frame, of which nobody would see the end.
    [3, 0x01, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0],
  ])
  func `what is no join ends its own connection only, with a word why`(bytes: [UInt8]) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (member, address) = try relay.join("member")
    let stranger = try RawFrameClient(connectingTo: relay.address)
    try stranger.send(bytes)
    #expect(try stranger.receive(refusal).code == .protocolError)
    #expect(stranger.waitForEnd())
    try member.send(frameBytes(.data, [5], address: address))
    #expect(try member.receive(.data).payload == [5])
  }

  @Test func `a device that asks for everything again and again gets it now and then`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, _) = try relay.join("one")
    for _ in 0..<200 { try client.send(.sync) }
    try client.send(sealing: frameBytes(.ping, [7]))
    var answers = 0
    while true {
      let frame = try client.receive()
      if frame.header.type == .pong { break }
      if case .peers(let update)? = try frame.message(), update.since == nil { answers += 1 }
    }
    // One came with the welcome; of the 200, two at once.
    #expect(answers <= 4)
    let later = try client.receive { message -> PeerUpdate? in
      if case .peers(let update) = message, update.since == nil { update } else { nil }
    }
    #expect(later.revision >= 0)
  }

  @Test func `a device that joins under fire hears its welcome first`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (sender, _) = try relay.join("sender")
    let (first, address) = try relay.join("target", instance: "0")
    try first.send(.leave)
    #expect(first.waitForEnd())
    /// `@unchecked`: from here on it belongs to the one thread.
    struct Handed: @unchecked Sendable { let client: RawFrameClient }
    let handed = Handed(client: sender)
    let isOver = Mailbox<Bool>()
    let fire = SystemThread.start(name: "fire") {
      while isOver.items.isEmpty { try? handed.client.send(frameBytes(.data, [1], address: address)) }
    }
    for round in 1...100 {
      let target = try relay.ask("target", instance: "\(round)")
      #expect(try target.receive().header.type == .control)
      try target.send(.leave)
      #expect(target.waitForEnd())
    }
    isOver.put(true)
    fire.join()
  }

  @Test func `an idle connection holds nobody up`() throws {
    let relay = try TestRelay(threads: 1)
    defer { relay.stop() }
    let idle = try (0..<10).map { _ in try RawFrameClient(connectingTo: relay.address) }
    let (_, address) = try relay.join("one")
    #expect(address == self.address(2))
    #expect(relay.status()?.joining == idle.count)
  }

  @Test func `a flood of connections that never join keeps nobody out`() throws {
    let relay = try TestRelay(threads: 1, maximumUnauthenticated: 300)
    defer { relay.stop() }
    // Both ends of every connection are in this process.
    raiseDescriptorLimit()
    let flood = try (0..<350).map { _ in try RawFrameClient(connectingTo: relay.address) }
    let (client, address) = try relay.join("one")
    try client.send(frameBytes(.data, [1], address: address))
    #expect(try client.receive(.data).payload == [1])
    #expect(try #require(relay.status()).joining <= 300)
    // Who waited for longest has given way, with a word.
    #expect(try flood[0].receive(refusal).code == .silent)
  }

  @Test func `a device ID that is none is refused`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let client = try relay.ask("not valid!")
    #expect(try client.receive(refusal).code == .badRequest)
    #expect(client.waitForEnd())
    #expect(relay.status()?.sessions.isEmpty == true)
  }

  @Test func `an address that cannot be leased is refused to who takes no other`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let client = try relay.ask("one", address: address(1), addressRequired: true)
    #expect(try client.receive(refusal).code == .addressTaken)
    #expect(client.waitForEnd())
  }

  @Test func `a device that speaks no version of the relay's is told so`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let client = try RawFrameClient(connectingTo: relay.address)
    let hello = HandshakeHello(versions: 7...9, keyHint: 0)
    try client.send(frameBytes(.handshake, hello.bytes + [UInt8](repeating: 9, count: 32)))
    #expect(try client.receive(refusal).code == .unsupportedVersion)
    #expect(client.waitForEnd())
  }

  @Test func `a receiver that does not read delays nobody else`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (sender, _) = try relay.join("sender")
    let (stalled, stalledAddress) = try relay.join("stalled")
    let (quick, quickAddress) = try relay.join("quick")
    let payload = [UInt8](repeating: 9, count: 65_536)
    // Far more than the socket's buffers and the queue take.
    for number in 0..<400 {
      try sender.send(frameBytes(.data, payload, address: stalledAddress, flow: 1))
      if number % 10 == 0 {
        try sender.send(frameBytes(.data, [UInt8(number / 10)], address: quickAddress, flow: 2))
        #expect(try quick.receive(.data).payload == [UInt8(number / 10)])
      }
    }
    let dropped = relay.status()?.sessions.first { $0.deviceID == "stalled" }?.queue.overflowDrops ?? 0
    #expect(dropped > 0)
    // What was not dropped is still whole.
    #expect(try stalled.receive(.data).payload == payload)
  }

  @Test func `a relay that stops says so to its devices`() throws {
    let relay = try TestRelay()
    let (client, _) = try relay.join("one")
    relay.stop()
    let last = try client.receive(refusal)
    #expect(last.code == .shuttingDown)
    // One that has few devices has them back soon.
    #expect(last.retryAfter == 200)
    #expect(client.waitForEnd())
  }

  @Test func `sessions that have ended are freed`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    for round in 0..<50 {
      let (client, _) = try relay.join("device-\(round % 5)", instance: "\(round)")
      try client.send(.leave)
      #expect(client.waitForEnd())
    }
    #expect(wait { relay.status()?.sessions.isEmpty == true })
    #expect(relay.status()?.joining == 0)
  }
}
