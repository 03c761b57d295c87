import Testing
import Wire

@testable import Store

@Suite struct LeasePoolTests {
  private func pool(_ prefix: String, relay: String? = nil, fixed: [String: IPv4Address] = [:]) throws -> LeasePool {
    LeasePool(try #require(IPv4Prefix(prefix)), relayAddress: relay.flatMap { IPv4Address($0) }, fixed: fixed)
  }

  /// Every address of a pool that a device can have, by trying them all.
  private func leasable(_ pool: LeasePool) -> [IPv4Address] {
    (pool.prefix.network.bits...pool.prefix.broadcast.bits).map { IPv4Address(bits: $0) }.filter { pool.isLeasable($0) }
  }

  @Test(arguments: [
    ("10.0.0.0/30", 1), ("10.0.0.4/30", 1), ("10.0.0.252/30", 1), ("10.0.0.0/29", 5), ("10.0.0.128/25", 125),
    ("10.0.0.0/24", 253), ("10.0.0.0/23", 507), ("10.0.0.0/20", 4063), ("10.44.0.0/16", 65_023),
  ])
  func `as many devices fit as there are addresses to lease`(prefix: String, capacity: Int) throws {
    let pool = try pool(prefix)
    #expect(pool.capacity == capacity)
    #expect(leasable(pool).count == capacity)
  }

  @Test func `the largest pool is counted as well`() throws {
    #expect(try pool("10.0.0.0/8").capacity == 65_536 * 254 - 1)
  }

  @Test(arguments: ["10.0.0.0", "10.0.0.255", "10.0.1.0", "10.0.3.255", "10.0.0.1", "10.0.4.1", "9.255.255.254"])
  func `network, broadcast, what looks like them, and the relay's own address are not leased`(text: String) throws {
    #expect(try !pool("10.0.0.0/22").isLeasable(#require(IPv4Address(text))))
  }

  @Test func `the first and last of a small pool are not leased`() throws {
    let pool = try pool("10.0.0.128/26")
    #expect(pool.relayAddress.description == "10.0.0.129")
    #expect(leasable(pool).map(\.description).first == "10.0.0.130")
    #expect(leasable(pool).map(\.description).last == "10.0.0.190")
  }

  @Test func `a relay that keeps its address leaves the first one to a device`() throws {
    let pool = try pool("10.0.0.0/24", relay: "10.0.0.129")
    #expect(leasable(pool).first?.description == "10.0.0.1")
    #expect(try !pool.isLeasable(#require(IPv4Address("10.0.0.129"))))
    #expect(pool.capacity == 253 && leasable(pool).count == 253)
  }

  @Test func `a fixed address is for its device alone`() throws {
    let address = try #require(IPv4Address("10.0.0.2"))
    let pool = try pool("10.0.0.0/24", fixed: ["cam": address])
    #expect(pool.isLeasable(address, to: "cam") && !pool.isLeasable(address, to: "hub"))
    #expect(pool.owner(of: address) == "cam")
    #expect(pool.nextFreelyLeasable(from: 0)?.description == "10.0.0.3")
    #expect(try pool.with(#require(IPv4Prefix("10.0.0.0/16"))).owner(of: address) == "cam")
  }
}
