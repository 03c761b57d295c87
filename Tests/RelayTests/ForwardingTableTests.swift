import Testing
import Wire

@testable import Relay

@Suite struct ForwardingTableTests {
  @Test(arguments: ["10.0.0.0/8", "10.0.0.0/20", "10.0.0.0/24", "10.0.0.0/29", "10.0.0.0/30"])
  func `every address of a pool has a place of its own, and no other has one`(pool: String) throws {
    let pool = try #require(IPv4Prefix(pool))
    let snapshot = ForwardingTable(pool: pool).snapshot
    for bits in [pool.network.bits, pool.network.bits + 1, pool.broadcast.bits - 1, pool.broadcast.bits] {
      #expect(snapshot.outlet(at: IPv4Address(bits: bits)) == nil)
    }
    #expect(snapshot.outlet(at: IPv4Address(bits: pool.broadcast.bits &+ 1)) == nil)
    #expect(snapshot.outlet(at: IPv4Address(bits: pool.network.bits &- 1)) == nil)
    #expect(snapshot.outlet(at: IPv4Address(bits: 0)) == nil)
    #expect(snapshot.outlet(at: .limitedBroadcast) == nil)
  }
}
