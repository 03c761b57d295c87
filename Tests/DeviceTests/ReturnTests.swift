import Relay
import SystemIO
import TestSupport
import Testing

/// Many devices whose relay restarts, with real connections, handshakes and waits.
@Suite(.serialized) struct ReturnTests {
  /// A thousand are a large network; of fewer, the relay tells everybody of everybody.
  @Test(arguments: [(300, 300), (1000, 300)])
  func `all devices are back after a restart, without one being refused`(count: Int, peerList: Int) throws {
    raiseDescriptorLimit()
    let relay = try TestRelay(pool: "10.0.0.0/16", peerList: peerList)
    let crowd = try Crowd(of: count, relay: relay.address)
    defer { crowd.stop() }
    #expect(crowd.isIn(count))
    relay.stop()
    #expect(crowd.isIn(0))
    // Longer than the relay asked them to wait, so that they try again.
    sleep(for: .seconds(2))
    let again = try TestRelay(inPlaceOf: relay)
    defer { again.stop() }
    #expect(crowd.isIn(count))
    #expect(wait { again.status()?.sessions.count == count })
    let counters = try #require(again.status()?.counters)
    #expect(counters.refused.isEmpty && counters.notAuthentic == 0 && counters.malformed == 0)

    // The relay has asked for a millisecond per device; each device waits for a random part of it, at least half.
    let waits = crowd.waitsAfterLoss
    #expect(waits.count == count)
    #expect(waits.allSatisfy { (.milliseconds(count / 2)...(.milliseconds(count))).contains($0) })
    #expect(Set(waits.map { Int($0.seconds * 100) }).count > count / 25)
  }
}
