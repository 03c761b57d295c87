import Admission
import Noise
import Relay
import Store
import SystemIO
import TestSupport
import Testing
import Wire

/// The pool that leases are from, when it changes.
@Suite(.serialized) struct PoolTests {
  private func address(_ text: String) throws -> IPv4Address { try #require(IPv4Address(text)) }

  private func welcome(_ message: ControlMessage) -> Welcome? {
    if case .welcome(let welcome) = message { welcome } else { nil }
  }

  private func grow(_ relay: TestRelay, to prefix: String) throws -> Result<Void, PoolError> {
    let (prefix, answer) = (try #require(IPv4Prefix(prefix)), Mailbox<Result<Void, PoolError>>())
    relay.relay.growPool(to: prefix) { answer.put($0) }
    return try #require(answer.waitFor(1).first)
  }

  private func visit(_ relay: TestRelay, _ deviceID: String) throws -> String {
    let (client, address) = try relay.join(deviceID)
    try client.send(.leave)
    #expect(client.waitForEnd())
    return address.description
  }

  private func kinds(_ relay: TestRelay) throws -> [LeaseKind] {
    let answer = Mailbox<Result<[LeaseStatus], StoreError>>()
    relay.relay.leases { answer.put($0) }
    return try #require(answer.waitFor(1).first).get().map(\.kind)
  }

  @Test func `a pool grows while the relay runs, and everybody is told and stays who he is`() throws {
    let state = TemporaryDirectory()
    let relay = try TestRelay(pool: "10.0.0.128/29", state: state.path)
    var members = try (0..<5).map { try relay.join("device-\($0)") }
    #expect(throws: Refusal.self) { try relay.join("late") }
    try grow(relay, to: "10.0.0.0/16").get()
    for (client, address) in members {
      let told = try client.receive(welcome)
      #expect(told.address == address && told.pool == IPv4Prefix("10.0.0.0/16"))
      #expect(try told.relayAddress == self.address("10.0.0.129") && told.isPlausible)
    }
    // Below and above what there was before.
    members.append(try relay.join("late"))
    #expect(try members[5].address == address("10.0.0.1"))
    let far = try relay.ask("far", address: address("10.0.200.7"), addressRequired: true)
    #expect(try far.receive(welcome).address == address("10.0.200.7"))
    for (client, address) in members {
      try far.send(frameBytes(.data, [7], address: address))
      #expect(try client.receive(.data).header.address == self.address("10.0.200.7"))
      try client.send(frameBytes(.data, [8], address: self.address("10.0.200.7")))
      #expect(try far.receive(.data).header.address == address)
    }
    #expect(relay.status()?.pool == IPv4Prefix("10.0.0.0/16") && relay.status()?.capacity == 65_023)
    relay.stop()

    let again = try TestRelay(pool: "10.0.0.0/16", state: state.path)
    defer { again.stop() }
    #expect(again.notices.isEmpty)
    #expect(try again.network.pool.relayAddress == address("10.0.0.129"))
    for (number, member) in members.dropLast().enumerated() {
      #expect(try again.join("device-\(number)").address == member.address)
    }
  }

  @Test(arguments: ["10.0.0.0/25", "10.0.1.0/24", "10.1.0.0/16", "192.168.0.0/16"])
  func `a pool that does not contain the present one needs a restart`(prefix: String) throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, address) = try relay.join("a")
    guard case .failure(let error) = try grow(relay, to: prefix) else {
      Issue.record("it was taken")
      return
    }
    #expect(error.description.contains("needs a restart"))
    #expect(relay.status()?.pool == IPv4Prefix("10.0.0.0/24"))
    try client.send(frameBytes(.data, [1], address: address))
    #expect(try client.receive(.data).payload == [1])
  }

  @Test func `a pool that has grown does not shrink by an order that comes late`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    try grow(relay, to: "10.0.0.0/24").get()
    let answers = Mailbox<Result<Void, PoolError>>()
    for text in ["10.0.0.0/16", "10.0.0.0/20"] {
      relay.relay.growPool(to: try #require(IPv4Prefix(text))) { answers.put($0) }
    }
    let results = answers.waitFor(2)
    #expect(throws: Never.self) { try results[0].get() }
    #expect(throws: PoolError.self) { try results[1].get() }
    #expect(relay.status()?.pool == IPv4Prefix("10.0.0.0/16"))
  }

  @Test func `devices of a pool that was moved get other addresses, and the old ones when it is moved back`() throws {
    let state = TemporaryDirectory()
    let first = try TestRelay(state: state.path)
    #expect(try ["a", "b", "c"].map { try visit(first, $0) } == ["10.0.0.2", "10.0.0.3", "10.0.0.4"])
    first.stop()

    let moved = try TestRelay(pool: "10.9.0.0/24", state: state.path)
    #expect(
      moved.notices == [
        "the pool is 10.9.0.0/24 and was 10.0.0.0/24: 3 devices get other addresses when they join, and the relay has "
          + "10.9.0.1 in place of 10.0.0.1; to undo it, write 10.0.0.0/24 to relay.pool and start again"
      ])
    #expect(try kinds(moved) == [.outside, .outside, .outside])
    #expect(try visit(moved, "b") == "10.9.0.2")
    #expect(try kinds(moved) == [.outside, .outside, .leased])
    moved.stop()

    let back = try TestRelay(state: state.path)
    defer { back.stop() }
    #expect(back.notices.count == 1 && back.notices[0].contains("1 device gets another address"))
    #expect(try ["a", "b", "c"].map { try visit(back, $0) } == ["10.0.0.2", "10.0.0.3", "10.0.0.4"])
  }

  @Test func `a pool that has shrunk keeps what is left of it`() throws {
    let state = TemporaryDirectory()
    let first = try TestRelay(state: state.path)
    let (client, _) = try first.join("far", wants: address("10.0.0.200"))
    try client.send(.leave)
    #expect(try visit(first, "near") == "10.0.0.2")
    first.stop()
    let relay = try TestRelay(pool: "10.0.0.0/25", state: state.path)
    defer { relay.stop() }
    #expect(try relay.network.pool.relayAddress == address("10.0.0.1"))
    #expect(try visit(relay, "near") == "10.0.0.2")
    #expect(try visit(relay, "far") == "10.0.0.3")
  }

  @Test func `a fixed address that no device can have is a mistake`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    let pool = RelayNetwork.PoolChoice.prefix(try #require(IPv4Prefix("10.0.0.0/23")))
    for (text, words) in [
      ("10.0.1.0", "has no such address"), ("10.0.2.5", "has no such address"), ("10.0.0.1", "the relay's own"),
    ] {
      let error = try #require(throws: RelayNetwork.Problem.self) {
        try RelayNetwork.settle(in: store, pool: pool, pool6: .off, fixed: ["cam": self.address(text)])
      }
      #expect(error.description.contains(text) && error.description.contains(words), "\(error)")
    }
    #expect(try store.readAndWait { records throws(StoreError) in try records.network() } == nil)
  }

  // MARK: A pool that the relay chooses

  @Test func `a pool is chosen once, and kept while the configuration says otherwise`() throws {
    let directory = TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.path)
    func settle(_ choice: RelayNetwork.PoolChoice) throws -> IPv4Prefix {
      try RelayNetwork.settle(in: store, pool: choice, pool6: .off).network.pool.prefix
    }
    let fixed = try #require(IPv4Prefix("10.0.0.0/24"))
    #expect(try settle(.prefix(fixed)) == fixed)
    let chosen = try settle(.auto(avoiding: [fixed]))
    #expect(chosen != fixed && chosen.length == 24)
    #expect(try settle(.prefix(fixed)) == fixed)
    // It has its devices, whatever other networks its host is in now.
    #expect(try settle(.auto(avoiding: [chosen])) == chosen)
  }

  @Test func `a chosen pool is private, little used, and clear of what is avoided`() throws {
    var random = FixedRandom(seed: 1)
    let taken = ["10.0.0.0/9", "192.168.0.0/16", "172.16.0.0/12", "0.0.0.0/0"].compactMap { IPv4Prefix($0) }
    var chosen: Set<IPv4Prefix> = []
    for _ in 0..<200 {
      let prefix = try #require(AutomaticPool.choose(avoiding: taken, using: &random))
      #expect(prefix.length == 24 && prefix.network.bits >> 23 == 10 << 1 | 1)
      #expect(prefix.network.bits >> 8 & 0xFF != 0)
      chosen.insert(prefix)
    }
    #expect(chosen.count > 150)
  }

  @Test func `where nearly everything is taken, the rest is found`() throws {
    var random = FixedRandom(seed: 2)
    let ten = try #require(IPv4Prefix("10.0.0.0/8"))
    let whole = try #require(IPv4Prefix("172.16.0.0/12"))
    let last = try #require(IPv4Prefix("192.168.1.0/24"))
    // All of 192.168.0.0/16 but one network, in pieces of many sizes.
    let others = (0...255).filter { $0 != 1 }.map { IPv4Prefix(IPv4Address(bits: 0xC0A8_0000 | $0 << 8), length: 26) }
    #expect(AutomaticPool.choose(avoiding: [ten, whole] + others, using: &random) == last)
    #expect(AutomaticPool.choose(avoiding: [ten, whole, last] + others, using: &random) == nil)
    let narrow = try #require(IPv4Prefix("10.128.7.0/25"))
    let half = try #require(IPv4Prefix("10.0.0.0/9"))
    let quarter = try #require(IPv4Prefix("10.192.0.0/10"))
    for _ in 0..<50 {
      let prefix = try #require(AutomaticPool.choose(avoiding: [half, quarter, narrow], using: &random))
      #expect(prefix.network.bits >> 22 == 0x0A80_0000 >> 22 && prefix != IPv4Prefix(narrow.network, length: 24))
    }
  }
}
