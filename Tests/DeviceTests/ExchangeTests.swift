import Device
import Noise
import SystemIO
import TestSupport
import Testing
import Wire

/// What devices tell each other of themselves, over a relay in this process.
@Suite(.serialized) struct ExchangeTests {
  private func information(_ deviceID: String, revision: Int = 100, _ services: String...) -> Orchestration {
    Orchestration(
      deviceID: deviceID, revision: revision, platform: "linux/arm64", services: services.map { .init(name: $0) })
  }

  private func device(
    _ deviceID: String, _ relay: TestRelay, revision: Int = 100, services: [String] = [], limit: Int = 250
  ) throws -> TestDevice {
    try TestDevice(
      deviceID, relay: relay.address,
      change: {
        $0.orchestration = information(deviceID, revision: revision)
        $0.orchestration.services = services.map { .init(name: $0) }
        $0.peerInformation = limit
      })
  }

  private func services(of deviceID: String, at device: TestDevice) -> [String]? {
    device.status(of: deviceID)?.orchestration?.services.map(\.name)
  }

  private func changes(_ device: TestDevice, of deviceID: String) -> [Orchestration] {
    device.events.items.flatMap { event -> [Orchestration] in
      guard case .peers(let events) = event else { return [] }
      return events.compactMap { event in
        if case .changed(let peer, let new) = event, peer.deviceID == deviceID { new } else { nil }
      }
    }
  }

  private func ping(_ device: TestDevice, _ address: IPv4Address, within limit: Duration = generousWait) -> PingOutcome?
  {
    let outcome = Mailbox<PingOutcome>()
    device.device.ping(address, within: limit) { outcome.put($0) }
    return outcome.waitFor(1).first
  }

  private func fetch(_ device: TestDevice, _ addresses: [IPv4Address]) -> DeviceStatus? {
    let status = Mailbox<DeviceStatus>()
    device.device.fetch(addresses, within: generousWait) { status.put($0) }
    return status.waitFor(1).first
  }

  @Test func `what devices tell of themselves arrives both ways, over one session`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let one = try device("one", relay, services: ["detector"])
    #expect(one.address() != nil)
    let two = try device("two", relay, services: ["camera", "printer"])
    defer { for device in [one, two] { device.stop() } }
    #expect(wait { services(of: "two", at: one) == ["camera", "printer"] })
    #expect(wait { services(of: "one", at: two) == ["detector"] })
    let status = try #require(one.status(of: "two"))
    #expect(status.orchestration?.revision == 100 && status.orchestration?.platform == "linux/arm64")
    #expect(wait { one.status(of: "two")?.roundTrip != nil && two.status(of: "one")?.roundTrip != nil })
    #expect(status.lastProof != nil && !status.isSilent && status.objection == nil)
    #expect(changes(one, of: "two").count == 1)
    let links = [one, two].compactMap { $0.status()?.counters.links }
    #expect(links.map(\.sessions) == [1, 1] && links.map(\.initiations).reduce(0, +) == 1)
    #expect(one.status()?.counters.messages.refused == 0)
  }

  @Test func `a change is pushed, and a burst of changes is told once a second at most`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let devices = try ["one", "two", "three"].map { try device($0, relay) }
    defer { for device in devices { device.stop() } }
    #expect(wait { devices[1...].allSatisfy { services(of: "one", at: $0) == [] } })
    for number in 1...50 {
      devices[0].device.apply { $0.orchestration = information("one", revision: 0, "service-\(number)") }
    }
    for other in devices[1...] {
      #expect(wait { services(of: "one", at: other) == ["service-50"] })
      let told = changes(other, of: "one").map(\.revision)
      #expect(told.first == 100 && told.last == 150 && told.count <= 5, "\(told)")
    }
    // The same information again is no change.
    devices[0].device.apply { $0.orchestration = information("one", revision: 0, "service-50") }
    devices[0].device.apply { $0.orchestration = information("another", revision: 0, "last") }
    #expect(wait { services(of: "one", at: devices[1]) == ["last"] })
    #expect(devices[1].status(of: "one")?.orchestration?.revision == 151)
  }

  @Test func `what cannot be told is refused, and peers keep what they have`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let one = try device("one", relay)
    let two = try device("two", relay)
    defer { for device in [one, two] { device.stop() } }
    #expect(wait { services(of: "one", at: two) == [] })
    one.device.apply { $0.orchestration = information("one", revision: 0, "no name at all") }
    #expect(
      wait {
        one.events.items.contains { event in
          if case .warning(let line) = event { line.contains("cannot be told") } else { false }
        }
      })
    one.device.apply { $0.orchestration = information("one", revision: 0, "good") }
    #expect(wait { services(of: "one", at: two) == ["good"] })
    #expect(changes(two, of: "one").map(\.revision) == [100, 101])
  }

  @Test func `a peer that starts anew tells anew, and what has left is forgotten`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let one = try device("one", relay)
    var two = try device("two", relay, services: ["old"])
    #expect(wait { services(of: "two", at: one) == ["old"] })
    two.stop()
    #expect(one.knows([]))
    two = try device("two", relay, revision: 200, services: ["new"])
    #expect(wait { services(of: "two", at: one) == ["new"] && services(of: "one", at: two) == [] })
    for device in [one, two] { device.stop() }
  }

  @Test func `what has changed while the relay was away is told when all are back`() throws {
    let relay = try TestRelay()
    let devices = try ["one", "two"].map { try device($0, relay) }
    defer { for device in devices { device.stop() } }
    #expect(wait { services(of: "one", at: devices[1]) == [] && services(of: "two", at: devices[0]) == [] })
    relay.stop()
    #expect(wait { devices.allSatisfy { $0.status()?.isJoined == false } })
    devices[0].device.apply { $0.orchestration = information("one", revision: 0, "meanwhile") }
    // Known information is kept.
    #expect(services(of: "one", at: devices[1]) == [])
    let successor = try TestRelay(inPlaceOf: relay)
    defer { successor.stop() }
    #expect(wait { services(of: "one", at: devices[1]) == ["meanwhile"] })
  }

  @Test func `in a large network nothing is asked but what is fetched or talked to, and the least used is forgotten`()
    throws
  {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let asker = try device("asker", relay, limit: 2)
    #expect(wait { asker.status()?.isPartial == true })
    let others = try (1...3).map { try device("other-\($0)", relay, services: ["service-\($0)"], limit: 2) }
    defer { for device in [asker] + others { device.stop() } }
    let addresses = try others.map { try #require($0.address()) }
    #expect(wait { others.allSatisfy { $0.status()?.isPartial == true } })
    for (index, address) in addresses.enumerated() {
      let status = try #require(fetch(asker, [address]))
      let peer = status.peers.first { $0.peer.address == address }
      #expect(peer?.orchestration?.services.map(\.name) == ["service-\(index + 1)"])
    }
    let known = try #require(asker.status()).peers.filter { $0.orchestration != nil }.map(\.peer.deviceID)
    #expect(Set(known) == ["other-2", "other-3"])
    // The peers that were asked have not asked back.
    #expect(others.allSatisfy { $0.status()?.peers.allSatisfy { $0.orchestration == nil } == true })
    // Both ends of a session in use ask.
    let own = try #require(asker.address())
    asker.send(datagram(from: own, to: addresses[0], [1]))
    #expect(others[0].receive() != nil)
    #expect(wait { services(of: "other-1", at: asker) == ["service-1"] && services(of: "asker", at: others[0]) == [] })
    let absent = try #require(IPv4Address("10.0.0.99"))
    #expect(fetch(asker, [absent]) != nil)
    #expect(ping(asker, absent) == .unknownPeer)
  }

  @Test func `more peers than are kept are not asked by themselves`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let others = try (1...3).map { try device("other-\($0)", relay, limit: 2) }
    // The network is too large from the last device's first list on.
    let names: Set = ["other-1", "other-2", "other-3"]
    for (index, other) in others.enumerated() { #expect(other.knows(names.subtracting(["other-\(index + 1)"]))) }
    let asker = try device("asker", relay, limit: 2)
    defer { for device in [asker] + others { device.stop() } }
    #expect(asker.knows(names))
    let addresses = try others.map { try #require($0.address()) }
    let before = try #require(asker.status())
    #expect(before.peers.allSatisfy { $0.orchestration == nil } && before.counters.messages.sent == 0)
    let status = try #require(fetch(asker, [addresses[1], addresses[2]]))
    #expect(Set(status.peers.filter { $0.orchestration != nil }.map(\.peer.deviceID)) == ["other-2", "other-3"])
    asker.device.apply { $0.peerInformation = 3 }
    #expect(wait { services(of: "other-1", at: asker) == [] })
  }

  @Test func `a ping is answered, or says why not`() throws {
    let relay = try TestRelay()
    let one = try device("one", relay)
    let two = try device("two", relay)
    let (first, second) = (try #require(one.address()), try #require(two.address()))
    #expect(one.knows(["two"]))
    guard case .answered(let roundTrip)? = ping(one, second) else {
      Issue.record("not answered")
      return
    }
    #expect(roundTrip > .zero)
    #expect(one.status(of: "two")?.roundTrip != nil)
    #expect(ping(one, first) == .unknownPeer)
    #expect(ping(one, try #require(IPv4Address("10.0.0.77"))) == .unknownPeer)
    #expect(ping(one, try #require(IPv4Address("192.0.2.1"))) == .unknownPeer)
    one.device.apply { $0.pinnedKeys = ["two": testKey("somebody").publicKey] }
    guard case .untrusted(let why)? = ping(one, second) else {
      Issue.record("trusted")
      return
    }
    #expect(why.contains("two") && one.status(of: "two")?.objection == why)
    // The other end would talk, but gets no answer.
    #expect(ping(two, first, within: .milliseconds(200)) == .silent)
    relay.stop()
    #expect(wait { one.status()?.isJoined == false })
    #expect(ping(one, second) == .noRelay)
    for device in [one, two] { device.stop() }
  }
}
