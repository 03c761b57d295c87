import Relay
import SystemIO
import TestSupport
import Testing
import Wire

/// What the relay does when there is no more of something.
@Suite(.serialized) struct BoundTests {
  @Test func `half of the descriptors, or all but 256, are for connections`() {
    #expect(RelaySettings.connections(descriptors: 64) == 32)
    #expect(RelaySettings.connections(descriptors: 1024) == 768)
    #expect(RelaySettings.connections(descriptors: 1_048_576) == 1_048_320)
    #expect(RelaySettings.connections(descriptors: 0) == 1)
  }

  @Test func `strangers that take every place make room for a device, and who is in stays in`() throws {
    let relay = try TestRelay(connections: 8)
    defer { relay.stop() }
    let (one, first) = try relay.join("one")
    let strangers = try (0..<20).map { _ in try RawFrameClient(connectingTo: relay.address) }
    // It waits in the kernel until some of those before it have had their time.
    let (two, second) = try relay.join("two")
    try two.send(frameBytes(.data, [1], address: first))
    #expect(try one.receive(.data).header.address == second)
    #expect(strangers.count == 20)
  }

  @Test func `where devices take every place, the next one comes in when one of them leaves`() throws {
    let relay = try TestRelay(connections: 3)
    defer { relay.stop() }
    let devices = try (0..<3).map { try relay.join("device-\($0)") }
    let waiting = Mailbox<IPv4Address>()
    let thread = SystemThread.start(name: "late") {
      if let late = try? relay.join("late") { waiting.put(late.address) }
    }
    defer { thread.join() }
    try devices[0].client.send(frameBytes(.data, [1], address: devices[1].address))
    #expect(try devices[1].client.receive(.data).payload == [1])
    #expect(relay.status()?.sessions.count == 3)
    try devices[2].client.send(sealing: ControlMessage.leave.frame())
    #expect(waiting.waitFor(1).count == 1)
  }
}
