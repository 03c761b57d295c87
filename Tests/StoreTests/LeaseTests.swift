import TestSupport
import Testing
import Wire

@testable import Store

@Suite final class LeaseTests {
  private let directory = TemporaryDirectory()
  private let store: SQLiteStore

  init() throws {
    store = try SQLiteStore(directory: directory.path)
  }

  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  private let pool = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24))

  /// Admits a device and gives it an address.
  private func give(_ address: IPv4Address, to key: Int, at time: Int64 = 100) throws {
    try store.run { db throws(StoreError) in
      try db.admit(key: bytes(key), id: "device-\(key)", by: .open, at: time)
      try db.lease(address, toKey: bytes(key), at: time)
    }
  }

  private func leases() throws -> [LeaseRecord] {
    try store.run { db throws(StoreError) in try db.leases() }
  }

  /// Takes the lowest free address for a device, and says which it was.
  private func takeFree(for key: Int, in pool: LeasePool? = nil) throws -> IPv4Address? {
    let pool = pool ?? self.pool
    return try store.run { db throws(StoreError) in
      try db.admit(key: bytes(key), id: "device-\(key)", by: .open, at: 1)
      let free = try db.freeAddress(in: pool)
      if let free { try db.lease(free, toKey: bytes(key), at: 1) }
      return free
    }
  }

  @Test func `a lease is found by its device and by its address`() throws {
    try give(address(7), to: 1)
    let expected = LeaseRecord(address: address(7), key: bytes(1), deviceID: "device-1", isPinned: false, lastUsed: 100)
    #expect(try store.run { db throws(StoreError) in try db.lease(ofKey: bytes(1)) } == expected)
    let place = address(7)
    #expect(try store.run { db throws(StoreError) in try db.lease(at: place) } == expected)
    #expect(try leases() == [expected])
  }

  @Test func `a device has one address, and an address one device`() throws {
    try give(address(7), to: 1)
    try give(address(8), to: 1, at: 200)
    #expect(try leases().map(\.address) == [address(8)])
    #expect(throws: StoreError.self) { try self.give(self.address(8), to: 2) }
    #expect(throws: StoreError.self) {
      try self.store.run { db throws(StoreError) in
        try db.lease(IPv4Address(bits: 9), toKey: bytes(99), at: 1)
      }
    }
    #expect(try leases().map(\.deviceID) == ["device-1"])
  }

  @Test func `a lease goes along with a change of keys`() throws {
    try give(address(7), to: 1)
    try store.run { db throws(StoreError) in
      try db.setNextKey(bytes(2), ofKey: bytes(1))
      try db.promoteNextKey(bytes(2))
    }
    #expect(try leases().map(\.key) == [bytes(2)])
  }

  @Test func `a device that is revoked or forgotten leaves its address to others`() throws {
    for key in 1...4 { _ = try takeFree(for: key) }
    try store.run { db throws(StoreError) in
      try db.revoke(id: "device-2")
      try db.forget(id: "device-3")
    }
    #expect(try leases().map(\.deviceID) == ["device-1", "device-4"])
    #expect(try takeFree(for: 5) == address(3))
    #expect(try takeFree(for: 6) == address(4))
    #expect(try takeFree(for: 7) == address(6))
  }

  @Test func `use is noted, and a pin, which goes along when the device moves`() throws {
    try give(address(7), to: 1)
    try store.run { db throws(StoreError) in
      try db.pinLease(at: IPv4Address(bits: 0x0A00_0007), true)
      try db.touch(key: bytes(1), at: 500)
      try db.touch(key: bytes(9), at: 500)
    }
    try store.run { db throws(StoreError) in try db.lease(IPv4Address(bits: 0x0A00_0009), toKey: bytes(1), at: 600) }
    #expect(
      try leases()
        == [LeaseRecord(address: address(9), key: bytes(1), deviceID: "device-1", isPinned: true, lastUsed: 600)])
  }

  @Test func `the leases unused for longest come first, page by page, and no pinned one`() throws {
    for key in 1...9 { try give(address(UInt32(key)), to: key, at: Int64(1000 - key / 2)) }
    try store.run { db throws(StoreError) in try db.pinLease(at: IPv4Address(bits: 0x0A00_0008), true) }
    let pool = pool
    func page(since time: Int64, after previous: LeaseRecord?, limit: Int) throws -> [LeaseRecord] {
      try store.run { db throws(StoreError) in
        try db.leasesUnused(since: time, in: pool.prefix, after: previous, limit: limit)
      }
    }
    let first = try page(since: 998, after: nil, limit: 3)
    #expect(first.map(\.deviceID) == ["device-9", "device-6", "device-7"])
    #expect(try page(since: 998, after: first.last, limit: 9).map(\.deviceID) == ["device-4", "device-5"])
    let other = IPv4Prefix(IPv4Address(bits: 0x0B00_0000), length: 24)
    #expect(
      try store.run { db throws(StoreError) in
        try db.leasesUnused(since: 2000, in: other, after: nil, limit: 9)
      }.isEmpty)
  }

  @Test func `the search for the oldest reads an index, not the table`() throws {
    let plan = try store.run { db throws(StoreError) in
      try db.connection.rows(
        """
        EXPLAIN QUERY PLAN SELECT address FROM leases JOIN devices USING (key)
        WHERE pinned = 0 AND leases.last_used <= 5 AND address BETWEEN 1 AND 9 AND (leases.last_used, address) > (1, 2) ORDER BY leases.last_used, address LIMIT 9
        """
      ) { $0.text(3) }
    }
    #expect(plan.contains { $0.contains("leases_by_use") } && !plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
  }

  // MARK: Free addresses

  @Test func `free addresses are found from the lowest up, past what is taken`() throws {
    try give(address(3), to: 100)
    try give(address(4), to: 101)
    #expect(try [1, 2, 3].map { try takeFree(for: $0) } == [address(2), address(5), address(6)])
    try store.run { db throws(StoreError) in try db.dropLease(at: IPv4Address(bits: 0x0A00_0004)) }
    #expect(try [4, 5].map { try takeFree(for: $0) } == [address(4), address(7)])
  }

  @Test func `a full pool has none left, and one again when a lease is dropped`() throws {
    let small = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 29))
    #expect(try (1...5).map { try takeFree(for: $0, in: small) } == (2...6).map { address($0) })
    #expect(try takeFree(for: 6, in: small) == nil)
    try store.run { db throws(StoreError) in try db.dropLease(at: IPv4Address(bits: 0x0A00_0005)) }
    #expect(try takeFree(for: 6, in: small) == address(5))
    #expect(try takeFree(for: 7, in: small) == nil)
    // In a larger one there is room, below it too.
    let larger = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 28), relayAddress: address(1))
    #expect(try takeFree(for: 7, in: larger) == address(7))
  }

  @Test func `what an operation that failed has taken is free again`() throws {
    let pool = pool
    for key in [1, 2] {
      #expect(throws: StoreError.noSuchDevice) {
        try self.store.run { db throws(StoreError) in
          try db.admit(key: bytes(key), id: "device-\(key)", by: .open, at: 1)
          for _ in 0..<3 {
            if let free = try db.freeAddress(in: pool) { try db.lease(free, toKey: bytes(key), at: 1) }
          }
          throw .noSuchDevice
        }
      }
      let undone = try store.run { db throws(StoreError) in
        try db.attempt { () throws(StoreError) -> Bool? in
          try db.admit(key: bytes(key), id: "device-\(key)", by: .open, at: 1)
          if let free = try db.freeAddress(in: pool) { try db.lease(free, toKey: bytes(key), at: 1) }
          return nil
        }
      }
      #expect(undone == nil)
    }
    #expect(try leases() == [])
    #expect(try takeFree(for: 3) == address(2))
  }

  @Test func `ten thousand devices get their addresses without a search through them all`() throws {
    let large = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 8))
    let addresses = try store.run { db throws(StoreError) in
      var addresses: [IPv4Address] = []
      for key in 0..<10_000 {
        try db.admit(key: bytes(key), id: "device-\(key)", by: .open, at: 1)
        guard let free = try db.freeAddress(in: large) else { return addresses }
        try db.lease(free, toKey: bytes(key), at: 1)
        addresses.append(free)
      }
      return addresses
    }
    #expect(addresses.count == 10_000 && Set(addresses).count == 10_000)
    #expect(addresses.allSatisfy { large.isLeasable($0) })
    // The first is 10.0.0.2, and each 254 need 256 addresses.
    #expect(addresses.last == IPv4Address(bits: 0x0A00_0000 + 10_000 / 254 * 256 + 10_000 % 254 + 1))
  }

  // MARK: The network

  @Test func `the network is remembered`() throws {
    #expect(try store.run { db throws(StoreError) in try db.network() } == nil)
    for ownPool6 in [nil, IPv6Prefix("fd00:1:2:3::/96")] {
      let network = NetworkRecord(
        pool: pool.prefix, relayAddress: address(1), ownPool: IPv4Prefix("10.7.7.0/24"), ownPool6: ownPool6)
      try store.run { db throws(StoreError) in try db.setNetwork(network) }
      #expect(try store.run { db throws(StoreError) in try db.network() } == network)
    }
  }

  @Test func `a file of the first schema gets leases, and keeps its devices and invites`() throws {
    let directory = TemporaryDirectory()
    let first = try SQLiteStore(
      directory: directory.path, schema: SQLiteSchema(migrations: [SQLiteSchema.current.migrations[0]]))
    try first.run { db throws(StoreError) in
      // As that version wrote it.
      for number in 0..<100 {
        try db.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1)
      }
      _ = try db.createInvite(tokenHash: bytes(1), uses: 1, expiresAt: 9, at: 1)
    }
    first.close()
    let store = try SQLiteStore(directory: directory.path)
    let version = try store.run { db throws(StoreError) in try db.connection.integer("PRAGMA user_version") }
    #expect(version == Int64(SQLiteSchema.current.version))
    #expect(try store.run { db throws(StoreError) in try db.devices().count } == 100)
    #expect(try store.run { db throws(StoreError) in try db.invites().count } == 1)
    let place = address(2)
    try store.run { db throws(StoreError) in try db.lease(place, toKey: bytes(42), at: 5) }
    #expect(try store.run { db throws(StoreError) in try db.leases().map(\.deviceID) } == ["device-42"])
  }
}
