import Admission
import Noise
import Relay
import Store
import SystemIO
import TestSupport
import Testing
import Wire

/// Who gets which address, and keeps it.
@Suite(.serialized) struct LeaseTests {
  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  private func refusal(_ message: ControlMessage) -> Refusal? {
    if case .refused(let refusal) = message { refusal } else { nil }
  }

  private func welcome(_ message: ControlMessage) -> Welcome? {
    if case .welcome(let welcome) = message { welcome } else { nil }
  }

  private func result<Value: Sendable, Problem: Error>(
    _ call: (@escaping @Sendable (Result<Value, Problem>) -> Void) -> Void
  ) throws -> Value {
    let answer = Mailbox<Result<Value, Problem>>()
    call { answer.put($0) }
    return try #require(answer.waitFor(1).first).get()
  }

  private func leases(_ relay: TestRelay) throws -> [LeaseStatus] { try result { relay.relay.leases($0) } }

  private func pin(_ relay: TestRelay, _ deviceID: String, _ address: IPv4Address? = nil) throws -> LeaseStatus {
    try result { relay.relay.pinLease(of: deviceID, to: address, $0) }
  }

  private func free(_ relay: TestRelay, _ name: String) throws -> LeaseStatus {
    try result { relay.relay.freeLease(name, $0) }
  }

  private func leave(_ client: RawFrameClient) throws {
    try client.send(.leave)
    #expect(client.waitForEnd())
  }

  /// Joins, leaves, and says which address it had.
  @discardableResult
  private func visit(_ relay: TestRelay, _ deviceID: String, wants address: IPv4Address? = nil) throws -> IPv4Address {
    let (client, given) = try relay.join(deviceID, wants: address)
    try leave(client)
    return given
  }

  private func code(_ body: () throws -> Void) -> Refusal.Code? {
    do {
      try body()
      return nil
    } catch {
      return (error as? Refusal)?.code ?? .other
    }
  }

  /// As if the device had been away for so long; the time of the day is not a test's to set.
  private func age(_ relay: TestRelay, _ deviceID: String, by time: Int64) throws {
    let leases = try relay.store.readAndWait { records throws(StoreError) in try records.leases() }
    let lease = try #require(leases.first { $0.deviceID == deviceID })
    try relay.store.performAndWait { _ in ((), [.seen(key: lease.key, at: UnixTime.now() - time)]) }
  }

  // MARK: Coming back

  @Test func `devices have the same addresses after the relay was started again`() throws {
    let state = TemporaryDirectory()
    var addresses: [String: IPv4Address] = [:]
    let next = PrivateKey()
    for round in 0..<3 {
      let relay = try TestRelay(state: state.path)
      defer { relay.stop() }
      // Each time in another order, and a new one in between.
      for number in (0..<20).shuffled() + [20 + round] {
        let id = "device-\(number)"
        let key = id == "device-7" && round > 0 ? next : testKey(id)
        let (client, address) = try relay.join(id, key: key)
        #expect(addresses[id] ?? address == address)
        addresses[id] = address
        guard id == "device-7", round == 0 else { continue }
        try client.send(.nextKey(KeyNotice(key: next.publicKey)))
        _ = try client.receive { message -> PublicKey? in
          if case .nextKeyAccepted(let notice) = message { notice.key } else { nil }
        }
      }
    }
    #expect(Set(addresses.values).count == addresses.count)
  }

  @Test func `a wish for a free address is granted, and one for another's is not`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    #expect(try relay.join("a", wants: address(77)).address == address(77))
    #expect(try relay.join("b", wants: address(77)).address == address(2))
    // A device that has an address keeps it, whatever it remembers.
    #expect(try relay.join("b", wants: address(78)).address == address(2))
  }

  @Test(arguments: [0, 1, 255, 256] as [UInt32])
  func `an address that cannot be leased is refused to whoever insists`(last: UInt32) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let client = try relay.ask("a", address: address(last), addressRequired: true)
    #expect(try client.receive(refusal).code == .addressTaken)
    #expect(try leases(relay).isEmpty)
  }

  @Test func `an address of another device is refused to whoever insists, even if that is away`() throws {
    let relay = try TestRelay(leaseAge: .zero)
    defer { relay.stop() }
    try visit(relay, "a", wants: address(9))
    let client = try relay.ask("b", address: address(9), addressRequired: true)
    #expect(try client.receive(refusal).text.contains("leased to a"))
  }

  @Test func `a device may move to an address that it insists on, and leaves the old one to others`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    try visit(relay, "a")
    let moved = try relay.ask("a", address: address(9), addressRequired: true)
    #expect(try moved.receive(welcome).address == address(9))
    #expect(try relay.join("b").address == address(2))
    try leave(moved)
    #expect(try relay.join("a").address == address(9))
  }

  @Test func `a copy of a device does not move the address of the one that lives`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (original, first) = try relay.join("a", instance: "original")
    let copy = try relay.ask("a", instance: "copy", address: address(9), addressRequired: true)
    let ping = try original.receive(.ping)
    try original.send(sealing: frameBytes(.pong, ping.payload))
    #expect(try copy.receive(refusal).code == .keyInUse)
    #expect(try leases(relay).map(\.address) == [first])
    let other = try relay.join("b")
    #expect(other.address == address(3))
    // Once the original is dead, it is the copy's to say.
    let heir = try relay.ask("a", instance: "heir", address: address(9), addressRequired: true)
    #expect(try heir.receive(welcome).address == address(9))
    #expect(original.waitForEnd())
    #expect(relay.status()?.sessions.map(\.address) == [other.address, address(9)])
    withExtendedLifetime(other) {}
  }

  @Test func `the smallest pool has room for one device`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/30")
    defer { relay.stop() }
    #expect(relay.network.pool.relayAddress == address(1))
    #expect(try relay.join("a").address == address(2))
    let refused = try relay.ask("b").receive(refusal)
    #expect(refused.code == .poolFull && refused.text.contains("its only address"))
  }

  @Test func `every device has an IPv6 address too`() throws {
    let state = TemporaryDirectory()
    var made: IPv6Prefix?
    for choice in [.auto, .off, .auto] as [Pool6Choice] {
      let relay = try TestRelay(pool6: choice, state: state.path)
      defer { relay.stop() }
      let told = try relay.ask("a").receive(welcome)
      #expect(told.isPlausible && told.pool6 == relay.network.pool6)
      #expect(try leases(relay).map(\.address6) == [told.pool6?.address(of: told.address)])
      guard case .auto = choice else {
        #expect(told.pool6 == nil)
        continue
      }
      #expect(told.pool6?.isPool == true && made ?? told.pool6 == told.pool6)
      made = told.pool6
    }
    let own = try #require(IPv6Prefix("fd00:1:2:3::/96"))
    let relay = try TestRelay(pool6: .prefix(own))
    defer { relay.stop() }
    #expect(try relay.ask("a").receive(welcome).pool6 == own)
  }

  // MARK: A full pool

  @Test func `in a full pool the address unused for longest is given again, if it is old enough`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/29", leaseAge: .seconds(3600))
    defer { relay.stop() }
    var addresses: [String: IPv4Address] = [:]
    for name in ["a", "b", "c", "d"] { addresses[name] = try visit(relay, name) }
    var members = [try relay.join("e")]
    let refused = try relay.ask("f").receive(refusal)
    #expect(refused.code == .poolFull && refused.text.contains("lease free"))
    #expect(refused.text.contains("addresses are in use, or kept for devices that were here in the last 60 minutes"))
    // What could not be given an address was not let in either.
    #expect(try result { relay.relay.devices($0) }.map(\.id) == ["a", "b", "c", "d", "e"])

    try age(relay, "b", by: 3700)
    try age(relay, "c", by: 3800)
    try age(relay, "d", by: 3500)
    // It has used it all the while.
    try age(relay, "e", by: 9999)
    members += try ["f", "g"].map { try relay.join($0) }
    #expect(members.dropFirst().map(\.address) == [addresses["c"], addresses["b"]])
    #expect(code { _ = try relay.join("h") } == .poolFull)
    // Who has lost its address may get another one, but not a younger device's.
    #expect(code { _ = try relay.join("c") } == .poolFull)
    #expect(try relay.join("a").address == addresses["a"])
  }

  @Test func `while leases may not be taken back yet, a full pool says when to ask again`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/30", leaseAge: .seconds(3600), returnTime: .seconds(600))
    defer { relay.stop() }
    _ = try visit(relay, "a")
    #expect(try relay.ask("b").receive(refusal).retryAfter == nil)
    try age(relay, "a", by: 3700)
    let refused = try relay.ask("b").receive(refusal)
    #expect(refused.code == .poolFull && refused.isPassing && refused.retryAfter == 5000)
  }

  @Test func `an invite is not used up by a device for which there is no address`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/30", admission: .invite)
    defer { relay.stop() }
    let made: (invite: InviteRecord, token: Token) = try result {
      relay.relay.createInvite(uses: 2, lifetime: 3600, deviceID: nil, $0)
    }
    _ = try relay.join("a", token: made.token)
    #expect(code { _ = try relay.join("b", token: made.token) } == .poolFull)
    #expect(try result { relay.relay.invites($0) }.map(\.usesLeft) == [1])
  }

  @Test(arguments: [["old", "new"], ["new", "old"]])
  func `a device that is about to come in does not lose its address to another`(order: [String]) throws {
    let relay = try TestRelay(pool: "10.0.0.0/30", leaseAge: .zero)
    defer { relay.stop() }
    let place = try visit(relay, "old")
    // Both are decided about in one go, while neither is in.
    let isReleased = Mailbox<Bool>()
    relay.store.read { _ in
      _ = isReleased.waitFor(1)
    } then: { _ in
    }
    #expect(wait { relay.store.statistics.waiting == 0 })
    var clients: [String: RawFrameClient] = [:]
    for (index, name) in order.enumerated() {
      clients[name] = try relay.ask(name)
      #expect(wait { relay.store.statistics.waiting == index + 1 })
    }
    isReleased.put(true)
    #expect(try #require(clients["old"]).receive(welcome).address == place)
    #expect(try #require(clients["new"]).receive(refusal).code == .poolFull)
    #expect(relay.status()?.sessions.map(\.deviceID) == ["old"])
  }

  @Test func `more devices than addresses, all at once, never share one`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/28", leaseAge: .zero)
    defer { relay.stop() }
    let problems = Mailbox<String>()
    /// Who is sure to be in at each address: it has been welcomed, and has not begun to leave.
    let owners = Owners()
    let threads = (0..<4).map { thread in
      SystemThread.start(name: "crowd") {
        var random = FixedRandom(seed: UInt64(thread))
        for round in 0..<60 {
          let id = "device-\(thread)-\(Int.random(in: 0..<10, using: &random))"
          do {
            let (client, address) = try relay.join(id, instance: "\(round)")
            if let other = owners.take(address, id) { problems.put("\(id) and \(other) at \(address)") }
            owners.leave(address, id)
            try client.send(.leave)
            if !client.waitForEnd() { problems.put("\(id) cannot leave") }
          } catch {
            if (error as? Refusal)?.code != .poolFull { problems.put("\(id): \(error)") }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(problems.items.isEmpty)
    let leases = try leases(relay)
    #expect(leases.count == 13 && Set(leases.map(\.address)).count == 13)
  }

  /// For any thread.
  private final class Owners: Sendable {
    private let log = Mailbox<(address: IPv4Address, id: String, isIn: Bool)>()

    /// Who is there already.
    func take(_ address: IPv4Address, _ id: String) -> String? {
      log.put((address, id, true))
      var last: [String: Bool] = [:]
      for entry in log.items where entry.address == address { last[entry.id] = entry.isIn }
      return last.first { $0.key != id && $0.value }?.key
    }

    func leave(_ address: IPv4Address, _ id: String) { log.put((address, id, false)) }
  }

  // MARK: Operators

  @Test func `a pinned address is kept, however old and wanted it is`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/29", leaseAge: .zero)
    defer { relay.stop() }
    let place = try visit(relay, "a")
    let pinned = try pin(relay, "a")
    #expect(pinned.kind == .pinned && pinned.address == place && pinned.deviceID == "a" && !pinned.isOnline)
    #expect(try leases(relay) == [pinned])
    try age(relay, "a", by: 9999)
    let others = try (0..<4).map { try relay.join("other-\($0)") }
    #expect(others.allSatisfy { $0.address != place })
    #expect(code { _ = try relay.join("one-more") } == .poolFull)
    let elsewhere = try relay.ask("a", address: address(5), addressRequired: true)
    #expect(try elsewhere.receive(refusal).text.contains("pinned a to \(place)"))

    #expect(try free(relay, "\(place)").deviceID == "a")
    let last = try relay.join("one-more")
    #expect(last.address == place)
    #expect(code { _ = try relay.join("a") } == .poolFull)
    withExtendedLifetime((others, last)) {}
  }

  @Test func `a device that is pinned elsewhere connects anew and is there`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (first, _) = try relay.join("a")
    let (second, _) = try relay.join("b")
    #expect(throws: LeaseError.self) { try pin(relay, "a", address(3)) }
    #expect(throws: LeaseError.self) { try pin(relay, "a", address(255)) }
    #expect(throws: LeaseError.name(.unknown("c", known: ["a", "b"]))) { try pin(relay, "c") }
    #expect(try pin(relay, "a", address(99)).address == address(99))
    #expect(try first.receive(refusal).code == .sessionReplaced)
    #expect(first.waitForEnd())
    #expect(try relay.join("a", wants: address(2)).address == address(99))
    // Its old address is another's, and b has heard nothing of all this but who is where.
    #expect(try relay.join("c").address == address(2))
    try second.send(frameBytes(.data, [1], address: address(3)))
    #expect(try second.receive(.data).payload == [1])
  }

  @Test func `a device that was let in and has no address gets one by a pin`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    try visit(relay, "a")
    _ = try free(relay, "a")
    #expect(try leases(relay).isEmpty)
    #expect(throws: LeaseError.noSuchLease("a")) { try free(relay, "a") }
    let lease = try pin(relay, "a")
    #expect(lease.kind == .pinned && !lease.isOnline)
    #expect(try relay.join("a").address == lease.address)
  }

  @Test func `of a device that is in, only the pin is taken away`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, place) = try relay.join("a")
    _ = try pin(relay, "a")
    let lease = try free(relay, "a")
    #expect(lease.kind == .leased && lease.isOnline && lease.address == place)
    #expect(throws: LeaseError.inUse("a", place)) { try free(relay, "a") }
    try leave(client)
    _ = try free(relay, "a")
    #expect(try leases(relay).isEmpty)
  }

  @Test func `a revoked device leaves its address to others`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, place) = try relay.join("a")
    _ = try relay.join("b")
    _ = try result { relay.relay.revoke("a", $0) } as DeviceRecord
    #expect(client.waitForEnd())
    #expect(try leases(relay).map(\.deviceID) == ["b"])
    #expect(throws: LeaseError.revoked("a")) { try pin(relay, "a") }
    #expect(try relay.join("c").address == place)
  }

  @Test func `a fixed address is its device's, from the first time on, and nobody else's`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/29", leaseAge: .zero, fixed: ["cam": address(2), "hub": address(4)])
    defer { relay.stop() }
    #expect(try visit(relay, "cam") == address(2))
    let others = try (0..<3).map { try relay.join("other-\($0)") }
    #expect(others.map(\.address) == [address(3), address(5), address(6)])
    // Not even when it is old, or was never there.
    try age(relay, "cam", by: 9999)
    #expect(code { _ = try relay.join("one-more") } == .poolFull)
    let thief = try relay.ask("one-more", address: address(4), addressRequired: true)
    #expect(try thief.receive(refusal).text.contains("fixed for hub"))
    let elsewhere = try relay.ask("cam", address: address(6), addressRequired: true)
    #expect(try elsewhere.receive(refusal).text.contains("gives \(address(2)) to cam"))
    #expect(try relay.join("cam").address == address(2))
    #expect(try relay.join("hub", wants: address(5)).address == address(4))
    #expect(throws: LeaseError.fixed("cam", address(2))) { try pin(relay, "cam", address(6)) }
    #expect(throws: LeaseError.fixed("cam", address(2))) { try free(relay, "cam") }
    #expect(try leases(relay).map(\.kind) == [.fixed, .leased, .fixed, .leased, .leased])
    withExtendedLifetime(others) {}
  }

  @Test func `an address that is fixed later is taken from who had it, with a word`() throws {
    let state = TemporaryDirectory()
    let before = try TestRelay(state: state.path)
    try visit(before, "a")
    try visit(before, "cam")
    before.stop()
    let relay = try TestRelay(fixed: ["cam": address(2)], state: state.path)
    defer { relay.stop() }
    #expect(try leases(relay).map(\.kind) == [.outside])
    #expect(relay.notices.count == 1)
    #expect(try #require(relay.notices.first).contains("10.0.0.2 is for cam now"))
    #expect(try relay.join("cam").address == address(2))
    #expect(try relay.join("a").address == address(3))
  }
}
