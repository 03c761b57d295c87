import Relay
import TestSupport
import Testing
import Wire

/// A relay that tells everybody of everybody in a network of at most four devices.
@Suite(.serialized) struct LargeNetworkTests {
  private typealias Client = (client: RawFrameClient, address: IPv4Address)

  private func update(_ client: RawFrameClient) throws -> PeerUpdate {
    try client.receive { message in if case .peers(let update) = message { update } else { nil } }
  }

  /// The next update that tells of what becomes of others, not of everything.
  private func change(_ client: RawFrameClient) throws -> PeerUpdate {
    while true {
      let update = try update(client)
      if update.since != nil { return update }
    }
  }

  /// The next update that begins anew, as `partial` or not.
  private func beginning(_ client: RawFrameClient, partial: Bool) throws -> PeerUpdate {
    while true {
      let update = try update(client)
      if update.since == nil, update.partial == (partial ? true : nil) { return update }
    }
  }

  private func locate(_ address: IPv4Address, _ client: RawFrameClient) throws {
    try client.send(sealing: ControlMessage.locate(.address(address)).frame())
  }

  private func fill(_ relay: TestRelay, _ count: Int) throws -> [Client] {
    try (1...count).map { try relay.join("d\($0)") }
  }

  @Test func `in a small network everybody is told of everybody`() throws {
    let relay = try TestRelay(peerList: 4)
    defer { relay.stop() }
    let devices = try fill(relay, 4)
    let everything = try beginning(devices[3].client, partial: false)
    #expect(Set(everything.joined.map(\.deviceID)) == ["d1", "d2", "d3"])
  }

  @Test func `in a large network a newcomer is told of nobody, and those that are in begin anew`() throws {
    let relay = try TestRelay(peerList: 4)
    defer { relay.stop() }
    let devices = try fill(relay, 5)
    #expect(try beginning(devices[4].client, partial: true).joined == [])
    for device in devices[..<4] { #expect(try beginning(device.client, partial: true).joined == []) }
  }

  @Test func `who asks for a device is told of it, and of what becomes of it, once`() throws {
    let relay = try TestRelay(peerList: 4)
    defer { relay.stop() }
    let devices = try fill(relay, 6)
    let (asker, other) = (devices[5].client, devices[0])
    _ = try beginning(asker, partial: true)
    try locate(other.address, asker)
    #expect(try change(asker).joined.map(\.deviceID) == ["d1"])
    // Connected anew, as another instance would.
    try other.client.send(sealing: ControlMessage.leave.frame())
    #expect(try change(asker).left == [other.address])
    let again = try relay.join("d1")
    try locate(again.address, asker)
    #expect(try change(asker).joined.map(\.deviceID) == ["d1"])
    let newest = try relay.join("d1")
    let renewed = try change(asker)
    #expect(renewed.joined.map(\.deviceID) == ["d1"])
    #expect(renewed.left == [])
    // Of the others it is told nothing.
    try devices[1].client.send(sealing: ControlMessage.leave.frame())
    try locate(devices[2].address, asker)
    #expect(try change(asker).joined.map(\.deviceID) == ["d3"])
    // Their connections last until here.
    withExtendedLifetime((again, newest)) {}
  }

  @Test func `who asks for an address that nobody has is told so`() throws {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let device = try relay.join("d1")
    let absent = try #require(IPv4Address("10.0.0.77"))
    try locate(absent, device.client)
    let answer = try device.client.receive { message -> IPv4Address? in
      if case .unreachable(let notice) = message { notice.address } else { nil }
    }
    #expect(answer == absent)
  }

  @Test func `who asks for a label is told who has it, or that nobody does`() throws {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let asker = try relay.join("d1").client
    let other = try relay.join("Kitchen.Hub")
    _ = try beginning(asker, partial: true)
    try asker.send(sealing: ControlMessage.locate(.label("kitchen-hub")).frame())
    #expect(try change(asker).joined.map(\.deviceID) == ["Kitchen.Hub"])
    try other.client.send(sealing: ControlMessage.leave.frame())
    #expect(try change(asker).left == [other.address])
    try asker.send(sealing: ControlMessage.locate(.label("kitchen-hub")).frame())
    let answer = try asker.receive { message -> Sought? in
      if case .unreachable(let sought) = message { sought } else { nil }
    }
    #expect(answer == .label("kitchen-hub"))
  }

  @Test func `a sync in a large network is answered with nobody`() throws {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let device = try relay.join("d1")
    _ = try beginning(device.client, partial: true)
    try device.client.send(sealing: ControlMessage.sync.frame())
    #expect(try beginning(device.client, partial: true).joined == [])
  }

  @Test func `a network that shrinks well below the limit tells everybody of everybody again`() throws {
    let relay = try TestRelay(peerList: 4)
    defer { relay.stop() }
    let devices = try fill(relay, 5)
    for device in devices { _ = try beginning(device.client, partial: true) }
    try devices[0].client.send(sealing: ControlMessage.leave.frame())
    try locate(devices[2].address, devices[1].client)
    #expect(try change(devices[1].client).joined.map(\.deviceID) == ["d3"])
    try devices[4].client.send(sealing: ControlMessage.leave.frame())
    let everything = try beginning(devices[1].client, partial: false)
    #expect(Set(everything.joined.map(\.deviceID)).isSuperset(of: ["d3", "d4"]))
  }

  @Test func `of those that a device has asked for, the first are forgotten beyond a thousand`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/16", keepalive: .seconds(300), peerList: 0)
    defer { relay.stop() }
    let asker = try relay.join("asker").client
    let others = try (0...1024).map { try relay.join("d\($0)") }
    var left: [IPv4Address] = []
    // The relay answers 1024 questions at once, and by now one more.
    for (number, other) in others.enumerated() {
      try locate(other.address, asker)
      // A device that has only just joined may be told of twice.
      while true {
        let update = try change(asker)
        left += update.left
        if update.joined.map(\.deviceID).contains("d\(number)") { break }
      }
    }
    #expect(left == [others[0].address])
  }
}
