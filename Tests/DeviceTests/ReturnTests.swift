import Relay
import SystemIO
import TestSupport
import Testing

/// Many devices whose relay restarts, with real connections, handshakes and waits.
@Suite(.serialized) struct ReturnTests {
  @Test func `a thousand devices are all back after a restart, without one being refused`() throws {
    raiseDescriptorLimit()
    let count = 1000
    let relay = try TestRelay(pool: "10.0.0.0/16")
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

    // The relay has asked for a second; each device waits for a random part of it, at least half.
    let waits = crowd.waitsAfterLoss
    #expect(waits.count == count)
    #expect(waits.allSatisfy { (.milliseconds(500)...(.milliseconds(1000))).contains($0) })
    #expect(Set(waits.map { Int($0.seconds * 100) }).count > 40)
  }
}
