import Device
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// How a device handles the terms that a relay gives it, at first and later, and hosts on which they collide.
@Suite(.serialized) struct TermsTests {
  private func welcome(
    _ address: String = "10.0.0.2", pool: String = "10.0.0.0/24", pool6: String? = "fd00:1:2:3::/96",
    relay: String = "10.0.0.1", keepalive: Int = 5000
  ) throws -> Welcome {
    Welcome(
      address: try #require(IPv4Address(address)), pool: try #require(IPv4Prefix(pool)),
      pool6: try pool6.map { try #require(IPv6Prefix($0)) }, relayAddress: try #require(IPv4Address(relay)),
      keepalive: keepalive)
  }

  private func network(_ prefix: String) throws -> HostNetwork {
    HostNetwork(
      prefix: .ipv4(try #require(IPv4Prefix(prefix))), interface: "eth0", origin: .address("10.0.0.77"))
  }

  private func hasJoined(_ device: TestDevice, times: Int = 1) -> Bool {
    wait { device.status()?.joins == times && device.status()?.isJoined == true }
  }

  private func warnings(_ device: TestDevice) -> [String] {
    device.events.items.compactMap { if case .warning(let line) = $0 { line } else { nil } }
  }

  private func losses(_ device: TestDevice) -> [UplinkLoss] {
    device.events.items.compactMap { if case .lost(let loss, _) = $0 { loss } else { nil } }
  }

  private func collisions(_ device: TestDevice) -> Int {
    losses(device).count { if case .collision = $0 { true } else { false } }
  }

  // MARK: A further welcome

  @Test func `a pool that has grown is taken on without leaving, with the same address`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    try client.send(.welcome(welcome(pool: "10.0.0.0/16", pool6: "fd00:1:2:4::/96")))
    #expect(wait { device.interface.configuration?.prefix == IPv4Prefix("10.0.0.0/16") })
    #expect(device.interface.configuration?.address == IPv4Address("10.0.0.2"))
    let status = try #require(device.status())
    #expect(status.pool == IPv4Prefix("10.0.0.0/16") && status.joins == 1 && status.isJoined)
    #expect(status.address6 == IPv6Address("fd00:1:2:4::a00:2"))
    #expect(losses(device).isEmpty)
    #expect(
      device.events.items.contains {
        if case .networkChanged(let pool, _) = $0 { pool == IPv4Prefix("10.0.0.0/16") } else { false }
      })
    // A peer in the new part counts from now on.
    let peer = testPeer(try #require(IPv4Address("10.0.9.9")), "far")
    try client.send(.peers(PeerUpdate(revision: 1, since: nil, joined: [peer])))
    #expect(device.knows(["far"]))
  }

  @Test func `the same terms again leave the interface alone`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    try client.send(.welcome(welcome(keepalive: 600_000)))
    try client.send(
      .peers(PeerUpdate(revision: 1, since: nil, joined: [testPeer(IPv4Address(bits: 0x0A00_0003), "two")])))
    #expect(device.knows(["two"]))
    #expect(device.interface.configurations.count == 1)
  }

  @Test func `another keepalive counts from then on`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome(keepalive: 1000))
    #expect(hasJoined(device))
    _ = try client.receive(.ping)
    try client.send(.welcome(welcome(keepalive: 100)))
    // From here on the relay does not answer.
    #expect(wait { losses(device).contains { $0.description.contains("nothing came from the relay for") } })
  }

  @Test(arguments: [
    ("10.0.0.3", "10.0.0.0/24", "10.0.0.1"), ("10.0.0.2", "10.0.1.0/24", "10.0.1.1"),
    ("10.0.0.2", "10.0.0.0/31", "10.0.0.1"), ("10.0.0.2", "10.0.0.0/24", "10.0.0.255"),
  ])
  func `a welcome that cannot be, or has another address, ends the session`(
    address: String, pool: String, relay relayAddress: String
  ) throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    let further = try welcome(address, pool: pool, relay: relayAddress)
    try client.send(.welcome(further))
    #expect(client.waitForEnd())
    #expect(device.interface.configurations.count == 1)
    // It reconnects by itself, and asks for the address that it has.
    let (again, request) = try relay.accept()
    #expect(request.address == IPv4Address("10.0.0.2"))
    try again.send(.welcome(welcome()))
    #expect(hasJoined(device, times: 2))
  }

  @Test func `a pool that grows into a network of the host is not taken on, and what there was goes on`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    device.interface.setHostNetworks([try network("10.0.7.0/24")])
    try client.send(.welcome(welcome(pool: "10.0.0.0/16")))
    let peer = testPeer(IPv4Address(bits: 0x0A00_0003), "two")
    try client.send(.peers(PeerUpdate(revision: 1, since: nil, joined: [peer])))
    #expect(device.knows(["two"]))
    #expect(device.status()?.pool == IPv4Prefix("10.0.0.0/24") && device.status()?.isJoined == true)
    #expect(device.interface.configurations.count == 1)
    #expect(warnings(device).count == 1)
    #expect(warnings(device).first?.contains("the network 10.0.0.0/16 overlaps with 10.0.7.0/24 on eth0") == true)
  }

  @Test func `a device that joins anew takes on what has changed meanwhile`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    _ = try relay.welcome(welcome(pool: "10.0.0.0/20", pool6: nil))
    #expect(hasJoined(device, times: 2))
    #expect(device.interface.configuration?.prefix == IPv4Prefix("10.0.0.0/20"))
    #expect(device.interface.configuration?.prefix6 == nil && device.status()?.address6 == nil)
  }

  @Test func `a relay that changes its terms again and again loses the connection`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    for number in 0..<30 {
      guard (try? client.send(.welcome(welcome(pool: number % 2 == 0 ? "10.0.0.0/16" : "10.0.0.0/15")))) != nil else {
        break
      }
    }
    #expect(wait { losses(device).contains { $0.description.contains("again and again") } })
    #expect(device.interface.configurations.count <= 12)
  }

  // MARK: Pools of the Internet

  @Test func `a pool with addresses of the Internet is refused unless it is allowed`() throws {
    let relay = ScriptedRelay()
    let told = try welcome("8.8.8.2", pool: "8.8.8.0/24", relay: "8.8.8.1")
    let device = try TestDevice("one", route: relay.route)
    let client = try relay.welcome(told)
    #expect(client.waitForEnd())
    #expect(wait { losses(device).first?.description.contains("join.allow-public-pool") == true })
    #expect(device.interface.configurations.isEmpty && device.status()?.wasTurnedAway == true)
    device.stop()
    let allowed = try TestDevice("one", route: relay.route, change: { $0.allowPublicPool = true })
    defer { allowed.stop() }
    let second = try relay.welcome(told)
    #expect(hasJoined(allowed))
    withExtendedLifetime(second) {}
  }

  @Test func `a pool that grows into the Internet is not taken on`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome("172.16.0.2", pool: "172.16.0.0/24", relay: "172.16.0.1"))
    #expect(hasJoined(device))
    try client.send(.welcome(welcome("172.16.0.2", pool: "172.0.0.0/8", relay: "172.16.0.1")))
    #expect(wait { warnings(device).contains { $0.contains("172.0.0.0/8 has addresses of the Internet") } })
    #expect(device.interface.configuration?.prefix == IPv4Prefix("172.16.0.0/24") && losses(device).isEmpty)
  }

  // MARK: Collisions

  @Test func `nothing is configured on a host that has the addresses, until it has them no more`() throws {
    let relay = ScriptedRelay()
    let networks = [try network("10.0.0.0/16")]
    let device = try TestDevice("one", route: relay.route) { $0.setHostNetworks(networks) }
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(client.waitForEnd())
    #expect(wait { collisions(device) == 1 })
    #expect(
      losses(device).first?.description
        == "the network 10.0.0.0/24 overlaps with 10.0.0.0/16 on eth0 (address 10.0.0.77); take that network away, "
        + "or have the relay use another pool (relay.pool: auto), or allow it with --allow-overlap")
    #expect(device.interface.configurations.isEmpty && device.status()?.address == nil)
    _ = try relay.welcome(welcome())
    #expect(wait { collisions(device) == 2 })
    device.interface.setHostNetworks([])
    _ = try relay.welcome(welcome())
    #expect(hasJoined(device))
    #expect(device.interface.configuration?.address == IPv4Address("10.0.0.2"))
  }

  @Test func `a device does not ask to be let into a network that its host has`() throws {
    let relay = ScriptedRelay()
    let networks = [try network("10.0.0.0/16")]
    let device = try TestDevice("one", route: relay.route) { $0.setHostNetworks(networks) }
    defer { device.stop() }
    let notice = try welcome().network
    #expect(throws: RawFrameClient.Failure.closed) { try relay.accept(network: notice) }
    #expect(wait { collisions(device) == 1 })
    #expect(
      device.status()?.collision == "the network 10.0.0.0/24 overlaps with 10.0.0.0/16 on eth0 (address 10.0.0.77)")
    device.interface.setHostNetworks([])
    let (client, _) = try relay.accept(network: notice)
    try client.send(.welcome(welcome()))
    #expect(hasJoined(device))
    #expect(device.status()?.collision == nil)
  }

  @Test func `a device that cannot do with its first welcome declines, with a later one it leaves`() throws {
    let relay = ScriptedRelay()
    let networks = [try network("10.0.0.0/16")]
    let device = try TestDevice("one", route: relay.route) { $0.setHostNetworks(networks) }
    let client = try relay.welcome(welcome())
    #expect(try client.receive(.control).message() == .decline)
    device.interface.setHostNetworks([])
    let second = try relay.welcome(welcome())
    #expect(hasJoined(device))
    device.stop()
    var last = try second.receive()
    while last.header.type == .ping { last = try second.receive() }
    #expect(try last.message() == .leave)
  }

  @Test func `an overlap that is allowed is none to speak of`() throws {
    let relay = ScriptedRelay()
    let networks = [try network("10.0.0.0/16")]
    let device = try TestDevice("one", route: relay.route, allowOverlap: true) { $0.setHostNetworks(networks) }
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    #expect(wait { losses(device).count == 1 })
    #expect(device.interface.configuration != nil && warnings(device).isEmpty)
  }

  @Test func `a relay with a colliding pool does not cost a joined device the address that it has`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    device.interface.setHostNetworks([try network("10.9.0.0/24")])
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    _ = try relay.welcome(welcome("10.9.0.2", pool: "10.9.0.0/24", relay: "10.9.0.1"))
    #expect(wait { collisions(device) == 1 })
    #expect(device.interface.configuration?.address == IPv4Address("10.0.0.2"))
    #expect(device.status()?.address == IPv4Address("10.0.0.2"))
  }

  @Test func `without an uplink, the interface gives up what the host's new network has, and takes it back`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route)
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    device.interface.setHostNetworks([try network("10.0.0.0/24")])
    #expect(device.interface.configuration != nil)
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    #expect(wait { device.interface.configuration == nil })
    #expect(device.status()?.address == nil && warnings(device).count == 1)
    device.interface.setHostNetworks([])
    _ = try relay.welcome(welcome())
    #expect(hasJoined(device, times: 2))
    #expect(device.interface.configuration?.address == IPv4Address("10.0.0.2"))
  }

  @Test func `a route to more than the pool keeps a new device out, and does not make a known one drop out`() throws {
    let relay = ScriptedRelay()
    let wide = HostNetwork(prefix: .ipv4(try #require(IPv4Prefix("10.0.0.0/8"))), interface: "eth0", origin: .route)
    let new = try TestDevice("one", route: relay.route) { $0.setHostNetworks([wide]) }
    #expect(try relay.welcome(welcome()).waitForEnd())
    #expect(wait { collisions(new) == 1 })
    new.stop()
    let known = try TestDevice("one", route: relay.route) {
      $0.setHostNetworks([wide])
    } change: {
      $0.hasJoined = true
    }
    defer { known.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(known))
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    _ = try relay.welcome(welcome())
    #expect(hasJoined(known, times: 2))
    #expect(collisions(known) == 0 && warnings(known).isEmpty && known.status()?.collision == nil)
  }

  // MARK: IPv6

  @Test func `a host without IPv6 says so once, however often it joins`() throws {
    let relay = ScriptedRelay()
    let device = try TestDevice("one", route: relay.route) { $0.disableIPv6(.mtuTooSmall(1000)) }
    defer { device.stop() }
    let client = try relay.welcome(welcome())
    #expect(hasJoined(device))
    try client.send(.refused(Refusal(.shuttingDown, "bye")))
    _ = try relay.welcome(welcome())
    #expect(hasJoined(device, times: 2))
    #expect(
      warnings(device) == ["memory has no IPv6 address: an MTU of 1000 bytes is too small for IPv6, which needs 1280"])
    #expect(device.status()?.address6 == nil)
  }
}
