import Admission
import Noise
import Relay
import Store
import SystemIO
import TestSupport
import Testing
import Wire

@Suite(.serialized) struct AdmissionTests {
  private func refusal(_ message: ControlMessage) -> Refusal? {
    if case .refused(let refusal) = message { refusal } else { nil }
  }

  private func isPending(_ message: ControlMessage) -> Bool? {
    if case .pending = message { true } else { nil }
  }

  private func welcome(_ message: ControlMessage) -> Welcome? {
    if case .welcome(let welcome) = message { welcome } else { nil }
  }

  /// What an operator's command comes to.
  private func result<Value: Sendable, Problem: Error>(
    _ call: (@escaping @Sendable (Result<Value, Problem>) -> Void) -> Void
  ) throws -> Value {
    let answer = Mailbox<Result<Value, Problem>>()
    call { answer.put($0) }
    return try #require(answer.waitFor(1).first).get()
  }

  private func invite(
    _ relay: TestRelay, uses: Int = 1, lifetime: Int64 = 3600, for deviceID: String? = nil
  ) throws -> (invite: InviteRecord, token: Token) {
    try result { relay.relay.createInvite(uses: uses, lifetime: lifetime, deviceID: deviceID, $0) }
  }

  private func code(_ body: () throws -> Void) -> Refusal.Code? {
    do {
      try body()
      return nil
    } catch let refusal as Refusal {
      return refusal.code
    } catch {
      return .other
    }
  }

  @Test func `nobody joins uninvited, and an invite lets in as many as it says`() throws {
    let relay = try TestRelay(admission: .invite)
    defer { relay.stop() }
    #expect(code { _ = try relay.join("one") } == .inviteNeeded)
    let token = try invite(relay, uses: 2).token
    let (one, address) = try relay.join("one", token: token)
    _ = try relay.join("two", token: token)
    #expect(code { _ = try relay.join("three", token: token) } == .inviteUsedUp)
    // Who is in once needs no invite any more.
    try one.send(.leave)
    #expect(one.waitForEnd())
    #expect(try relay.join("one").address == address)
  }

  @Test func `a relay needs no file for its records`() throws {
    let relay = try TestRelay(admission: .invite, records: MemoryStore())
    defer { relay.stop() }
    let token = try invite(relay).token
    let (one, address) = try relay.join("one", token: token)
    try one.send(.leave)
    #expect(one.waitForEnd())
    #expect(try relay.join("one").address == address)
    _ = try result { relay.relay.revoke("one", $0) } as DeviceRecord
    #expect(code { _ = try relay.join("one") } == .revoked)
  }

  @Test func `the relay tells its addresses before it is asked`() throws {
    let relay = try TestRelay(admission: .invite)
    defer { relay.stop() }
    let client = try relay.ask("one")
    let pool = relay.relay.network.pool.prefix
    #expect(client.network == NetworkNotice(pool: pool, pool6: relay.relay.network.pool6))
    let larger = IPv4Prefix(pool.network, length: pool.length - 2)
    try result { relay.relay.growPool(to: larger, $0) }
    #expect(try relay.ask("one").network?.pool == larger)
  }

  @Test func `a device that declines is not known, and its invite is as it was`() throws {
    let relay = try TestRelay(admission: .invite)
    defer { relay.stop() }
    let token = try invite(relay).token
    let (one, address) = try relay.join("one", token: token)
    try one.send(.decline)
    #expect(one.waitForEnd())
    #expect(wait { (try? (result { relay.relay.devices($0) } as [DeviceRecord]))?.isEmpty == true })
    // Another device has all of it.
    let (two, again) = try relay.join("two", token: token)
    #expect(again == address)
    // Once it was in, it can only leave.
    try two.send(.leave)
    #expect(two.waitForEnd())
    let (known, _) = try relay.join("two")
    try known.send(.decline)
    #expect(known.waitForEnd())
    #expect(try relay.join("two").address == address)
  }

  @Test func `an invite that is none, that is over, taken back or another's is refused with its reason`() throws {
    let relay = try TestRelay(admission: .invite)
    defer { relay.stop() }
    #expect(code { _ = try relay.join("one", token: Token([UInt8](repeating: 1, count: 16))) } == .inviteUnknown)
    let expired = try invite(relay, lifetime: 0).token
    #expect(code { _ = try relay.join("one", token: expired) } == .inviteExpired)
    let revoked = try invite(relay)
    _ = try result { relay.relay.revokeInvite(revoked.invite.id, $0) } as InviteRecord
    #expect(code { _ = try relay.join("one", token: revoked.token) } == .inviteRevoked)
    let others = try invite(relay, for: "two").token
    #expect(code { _ = try relay.join("one", token: others) } == .inviteForAnother)
    _ = try relay.join("two", token: others)
    let counts = try #require(relay.status()).counters.refused
    #expect(counts["invite-unknown"] == 1 && counts["invite-for-another"] == 1)
  }

  @Test func `who guesses invites is turned away unheard, and nobody else is`() throws {
    let relay = try TestRelay(admission: .invite)
    defer { relay.stop() }
    let token = try invite(relay, uses: 2).token
    let (member, address) = try relay.join("member", token: token)
    var codes: Set<Refusal.Code> = []
    for number in 0..<30 {
      let guess = Token([UInt8](repeating: UInt8(number), count: 16))
      if let code = code({ _ = try relay.join("guesser", token: guess) }) { codes.insert(code) }
    }
    #expect(codes == [.inviteUnknown, .tooManyAttempts])
    try member.send(frameBytes(.data, [1], address: address))
    #expect(try member.receive(.data).payload == [1])
    // Nor is a device from the same address that is known.
    try member.send(.leave)
    #expect(member.waitForEnd())
    _ = try relay.join("member")
  }

  @Test func `a device ID belongs to a key, and a key to a device ID`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one")
    #expect(code { _ = try relay.join("one", key: PrivateKey()) } == .deviceIDTaken)
    #expect(code { _ = try relay.join("another", key: testKey("one")) } == .keyBound)
    try one.send(.leave)
    #expect(one.waitForEnd())
    #expect(code { _ = try relay.join("one", key: PrivateKey()) } == .deviceIDTaken)
  }

  @Test func `a device waits for an operator, and is in at once when it is approved`() throws {
    let relay = try TestRelay(admission: .approve)
    defer { relay.stop() }
    let client = try relay.ask("one")
    #expect(try client.receive(isPending))
    #expect(relay.relay.pending.map(\.deviceID) == ["one"])
    #expect(throws: OperatorError.self) { try relay.relay.deny("two") }
    _ = try result { relay.relay.approve("one", $0) } as PendingDevice
    #expect(try client.receive(welcome).address == IPv4Address("10.0.0.2"))
    #expect(relay.relay.pending.isEmpty)
    try client.send(.leave)
    #expect(client.waitForEnd())
    _ = try relay.join("one")
  }

  @Test func `a device that is denied hears so, and is not asked about again soon`() throws {
    let relay = try TestRelay(admission: .approve)
    defer { relay.stop() }
    let client = try relay.ask("one")
    #expect(try client.receive(isPending))
    let fingerprint = try #require(relay.relay.pending.first).fingerprint
    _ = try relay.relay.deny(fingerprint)
    #expect(try client.receive(refusal).code == .denied)
    #expect(code { _ = try relay.join("one") } == .denied)
    #expect(relay.relay.pending.isEmpty)
  }

  @Test func `an operator names a device by its ID, host name, address or the beginning of its fingerprint`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    func found(_ name: String) throws -> String {
      let device: DeviceRecord = try result { relay.relay.device(named: name, $0) }
      return device.id
    }
    var addresses: [String: IPv4Address] = [:]
    for id in ["Cam_A", "cam-b", "hub"] { addresses[id] = try relay.join(id).address }
    let hub = KeyText.fingerprint(digest: testKey("hub").publicKey.digest)
    #expect(try found("Cam_A") == "Cam_A" && found("cam-a") == "Cam_A" && found("CAM.B.mnedc") == "cam-b")
    for part in [hub, String(hub.prefix(12)), String(hub.dropFirst(7))] { #expect(try found(part) == "hub") }
    for (id, address) in addresses {
      #expect(try found(address.description) == id)
      let address6 = try #require(relay.relay.network.pool6).address(of: address)
      #expect(try found(address6.description) == id)
    }
    #expect(throws: OperatorError.self) { try found("SHA256:") }
    #expect(throws: OperatorError.self) { try found(String(hub.prefix(10))) }
    #expect(throws: OperatorError.self) { try found("10.0.0.200") }
    // The relay's own host is none of them.
    #expect(throws: OperatorError.self) {
      try result { relay.relay.revoke(hub, sparing: "hub", $0) } as DeviceRecord
    }
    // The ID goes to another key; the first one is known by its fingerprint alone.
    _ = try result { relay.relay.revoke("hub", $0) } as DeviceRecord
    _ = try relay.join("hub", key: PrivateKey())
    #expect(try (result { relay.relay.device(named: hub, $0) } as DeviceRecord).status == .revoked)
    #expect(try (result { relay.relay.device(named: "hub", $0) } as DeviceRecord).status == .active)
    #expect(try (result { relay.relay.forget(hub, $0) } as [DeviceRecord]).map(\.status) == [.revoked])
    #expect(try found("hub") == "hub")
  }

  @Test func `a name that means several devices is refused with all of them`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    // Both were revoked, and one host name was theirs after the other.
    for id in ["cam.a", "cam_a"] {
      _ = try relay.join(id, key: PrivateKey())
      _ = try result { relay.relay.revoke(id, $0) } as DeviceRecord
    }
    do {
      _ = try result { relay.relay.forget("cam-a", $0) } as [DeviceRecord]
      Issue.record("one of them was chosen")
    } catch OperatorError.name(.ambiguous("cam-a", let candidates)) {
      #expect(candidates.map(\.deviceID).sorted() == ["cam.a", "cam_a"])
      #expect(candidates.allSatisfy { $0.fingerprint.hasPrefix("SHA256:") })
    }
  }

  @Test func `a device that gives up waiting is not waited for`() throws {
    let relay = try TestRelay(admission: .approve)
    defer { relay.stop() }
    do {
      let client = try relay.ask("one")
      #expect(try client.receive(isPending))
    }
    #expect(wait { relay.relay.pending.isEmpty })
    #expect(throws: OperatorError.self) { try result { relay.relay.approve("one", $0) } as PendingDevice }
  }

  @Test func `a revoked device is out at once, stays out, and its peers learn it`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, address) = try relay.join("one")
    let (two, _) = try relay.join("two")
    _ = try result { relay.relay.revoke("one", $0) } as DeviceRecord
    #expect(try one.receive(refusal).code == .revoked)
    #expect(one.waitForEnd())
    let update = try two.receive { message -> PeerUpdate? in
      if case .peers(let update) = message, !update.left.isEmpty { update } else { nil }
    }
    #expect(update.left == [address] && update.dismissed == [address])
    #expect(code { _ = try relay.join("one") } == .revoked)
    // Its ID is free for another key.
    _ = try relay.join("one", key: PrivateKey())
  }

  @Test func `a copy that waits for a revoked device to fall silent does not take its place`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one", instance: "older")
    let copy = try relay.ask("one", instance: "newer")
    _ = try one.receive(.ping)
    _ = try result { relay.relay.revoke("one", $0) } as DeviceRecord
    #expect(try copy.receive(refusal).code == .revoked)
    #expect(relay.status()?.sessions.isEmpty == true)
  }

  @Test func `a device changes its key without losing its address, and the old one is worthless then`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, address) = try relay.join("one")
    let next = PrivateKey()
    try one.send(.nextKey(KeyNotice(key: next.publicKey)))
    let accepted = try one.receive { message -> PublicKey? in
      if case .nextKeyAccepted(let notice) = message { notice.key } else { nil }
    }
    #expect(accepted == next.publicKey)
    #expect(try relay.join("one", key: next).address == address)
    #expect(try one.receive(refusal).code == .sessionReplaced)
    #expect(code { _ = try relay.join("one") } == .deviceIDTaken)
    #expect(try relay.join("one", instance: "1", key: next).address == address)
  }

  @Test func `a device that has changed its key behind its session's back is revoked like any other`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one", instance: "older")
    let next = PrivateKey()
    try one.send(.nextKey(KeyNotice(key: next.publicKey)))
    // A second connection makes the new key the only one, and is refused for the first one's sake.
    let second = try relay.ask("one", instance: "newer", key: next)
    let ping = try one.receive(.ping)
    try one.send(sealing: frameBytes(.pong, ping.payload))
    #expect(try second.receive(refusal).code == .keyInUse)
    _ = try result { relay.relay.revoke("one", $0) } as DeviceRecord
    #expect(try one.receive(refusal).code == .revoked)
    #expect(one.waitForEnd())
  }

  @Test func `a stranger cannot write the relay's log by its name`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    #expect(code { _ = try relay.join("x\n2026 mnedcd: all is well\u{1B}[2J") } == .badRequest)
  }

  @Test func `a device does not get another one's key`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (one, _) = try relay.join("one")
    _ = try relay.join("two")
    try one.send(.nextKey(KeyNotice(key: testKey("two").publicKey)))
    let refused = try one.receive { message -> Refusal? in
      if case .nextKeyRefused(let refusal) = message { refusal } else { nil }
    }
    #expect(refused.code == .keyBound)
  }

  @Test func `a relay with a new key tells its devices, and proves itself with the old one to who knows no other`()
    throws
  {
    let old = PrivateKey()
    let relay = try TestRelay(keys: RelayKeys(old))
    defer { relay.stop() }
    let newKey: (ControlMessage) -> PublicKey? = { message in
      if case .relayKey(let notice) = message { notice.key } else { nil }
    }
    let (one, _) = try relay.join("one")
    #expect(one.relayKey == old.publicKey)
    let next = PrivateKey()
    relay.relay.replaceKey(with: next)
    #expect(try one.receive(newKey) == next.publicKey)
    let late = try relay.ask("two", hint: old.publicKey.hint)
    #expect(late.relayKey == old.publicKey)
    #expect(try late.receive(newKey) == next.publicKey)
    #expect(try relay.ask("three").relayKey == next.publicKey)
    #expect(try relay.ask("four", hint: next.publicKey.hint).relayKey == next.publicKey)
  }

  @Test func `a join is refused with any of its bytes changed`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (member, address) = try relay.join("member")
    /// The number of bytes of the first and of the last message.
    var lengths = (1, 1)
    var failures = 0
    for isLast in [false, true] {
      var index = 0
      while index < (isLast ? lengths.1 : lengths.0) {
        let client = try RawFrameClient(connectingTo: relay.address)
        let request = JoinRequest(deviceID: "changed", instance: "1", ciphers: CipherList([.chaCha20Poly1305]))
        let hello = HandshakeHello(keyHint: 0)
        var handshake = Handshake(
          .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: testKey("changed"))
        var first = hello.bytes + (try handshake.write())
        lengths.0 = first.count
        if !isLast { first[index] ^= 1 << UInt8(index % 8) }
        do {
          try client.send(frameBytes(.handshake, first))
          let answer = try client.receive()
          guard answer.header.type == .handshake else { throw RawFrameClient.Failure.closed }
          _ = try answer.payload.withUnsafeBytes { try handshake.read($0) }
          var last = try handshake.write(ControlMessage.join(request).encoded())
          lengths.1 = last.count
          if isLast { last[index] ^= 1 << UInt8(index % 8) }
          try client.send(frameBytes(.handshake, last))
          // The refusal comes in the clear, since there are no keys.
          if case .refused? = try client.receive().message() { failures += 1 }
        } catch {
          failures += 1
        }
        index += 1
      }
    }
    #expect(lengths.0 == 44 && lengths.1 > 100)
    #expect(failures == lengths.0 + lengths.1)
    #expect(relay.status()?.sessions.map(\.deviceID) == ["member"])
    #expect(try #require(relay.status()).counters.notAuthentic >= lengths.1)
    try member.send(frameBytes(.data, [1], address: address))
    #expect(try member.receive(.data).payload == [1])
  }

  @Test func `a sealed frame that is replayed, cut or changed ends its own session only`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (member, address) = try relay.join("member")
    for attack in 0..<4 {
      let (client, _) = try relay.join("attacked-\(attack)")
      let sealed = try client.sealed(frameBytes(.ping, [1, 2, 3]))
      switch attack {
      case 0: try client.send(sealed + sealed)
      case 1: try client.send(frameBytes(.ping, Array(sealed[FrameHeader.size...].dropLast())))
      case 2: try client.send(frameBytes(.ping, sealed[FrameHeader.size...].map { $0 ^ 1 }))
      default: try client.send(frameBytes(.pong, Array(sealed[FrameHeader.size...])))
      }
      #expect(try client.receive(refusal).code == .protocolError)
      #expect(client.waitForEnd())
    }
    #expect(try #require(relay.status()).counters.notAuthentic == 4)
    try member.send(frameBytes(.data, [1], address: address))
    #expect(try member.receive(.data).payload == [1])
  }

  @Test func `a flood of handshakes that are never finished keeps nobody out`() throws {
    let relay = try TestRelay(threads: 1)
    defer { relay.stop() }
    raiseDescriptorLimit()
    let (member, address) = try relay.join("member")
    let hello = HandshakeHello(keyHint: 0)
    let flood = try (0..<1100).map { _ in
      let client = try RawFrameClient(connectingTo: relay.address)
      var handshake = Handshake(
        .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: testKey("flood"))
      try client.send(frameBytes(.handshake, hello.bytes + handshake.write()))
      return client
    }
    try member.send(frameBytes(.data, [1], address: address))
    #expect(try member.receive(.data).payload == [1])
    // From the same address it may take a moment, until there is leave for another handshake.
    #expect(wait { (try? relay.join("honest")) != nil })
    #expect(flood.count == 1100)
  }

  @Test func `a thousand devices join within the time for one`() throws {
    // These do not read what a relay tells of others.
    let relay = try TestRelay(pool: "10.0.0.0/16", peerList: 0)
    defer { relay.stop() }
    raiseDescriptorLimit()
    let clients = try (0..<1000).map { try relay.ask("device-\($0)", key: PrivateKey()) }
    for client in clients { _ = try client.receive(welcome) }
    #expect(relay.status()?.sessions.count == 1000)
  }
}
