import TestSupport
import Testing
import Wire

@testable import Store

@Suite struct LeaseTests {
  private let pool = StoreFixture.pool

  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  @Test(arguments: StoreKind.allCases)
  func `a lease is found by its device and by its address`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(7), to: 1)
    let expected = LeaseRecord(address: address(7), key: bytes(1), deviceID: "device-1", isPinned: false, lastUsed: 100)
    #expect(try store.read { db throws(StoreError) in try db.lease(ofKey: bytes(1)) } == expected)
    let place = address(7)
    #expect(try store.read { db throws(StoreError) in try db.lease(at: place) } == expected)
    #expect(try store.leases() == [expected])
  }

  @Test(arguments: StoreKind.allCases)
  func `a device has one address, and an address one device`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(7), to: 1)
    try store.give(address(8), to: 1, at: 200)
    #expect(try store.leases().map(\.address) == [address(8)])
    #expect(throws: StoreError.self) { try store.give(address(8), to: 2) }
    let unknown = LeaseRecord(address: address(9), key: bytes(99), deviceID: "x", isPinned: false, lastUsed: 1)
    #expect(throws: StoreError.self) { try store.change { _ in [.putLease(unknown)] } }
    #expect(try store.leases().map(\.deviceID) == ["device-1"])
  }

  @Test(arguments: StoreKind.allCases)
  func `a lease goes along with a change of keys`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(7), to: 1)
    try store.setNextKey(2, of: 1)
    try store.promote(2)
    #expect(try store.leases().map(\.key) == [bytes(2)])
  }

  @Test(arguments: StoreKind.allCases)
  func `a device that is revoked or forgotten leaves its address to others`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    for key in 1...4 { _ = try store.takeFree(for: key) }
    try store.revoke("device-2")
    try store.forget("device-3")
    #expect(try store.leases().map(\.deviceID) == ["device-1", "device-4"])
    #expect(try store.takeFree(for: 5) == address(3))
    #expect(try store.takeFree(for: 6) == address(4))
    #expect(try store.takeFree(for: 7) == address(6))
  }

  @Test(arguments: StoreKind.allCases)
  func `use is noted, and a pin, which goes along when the device moves`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(7), to: 1)
    let lease = try #require(store.leases().first)
    try store.change { _ in
      [.putLease(lease.pinned(true)), .seen(key: bytes(1), at: 500), .seen(key: bytes(9), at: 500)]
    }
    #expect(
      try store.leases() == [
        LeaseRecord(address: address(7), key: bytes(1), deviceID: "device-1", isPinned: true, lastUsed: 500)
      ])
    try store.lease(address(9), to: 1, at: 600)
    #expect(
      try store.leases()
        == [LeaseRecord(address: address(9), key: bytes(1), deviceID: "device-1", isPinned: true, lastUsed: 600)])
  }

  @Test(arguments: StoreKind.allCases)
  func `the leases unused for longest come first, page by page, and no pinned one`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    for key in 1...9 { try store.give(address(UInt32(key)), to: key, at: Int64(1000 - key / 2)) }
    let pinned = try #require(store.leases().first { $0.address == address(8) }).pinned(true)
    try store.change { _ in [.putLease(pinned)] }
    let pool = pool
    func page(since time: Int64, after previous: LeaseRecord?, limit: Int) throws -> [LeaseRecord] {
      try store.read { db throws(StoreError) in
        try db.leasesUnused(since: time, in: pool.prefix, after: previous, limit: limit)
      }
    }
    let first = try page(since: 998, after: nil, limit: 3)
    #expect(first.map(\.deviceID) == ["device-9", "device-6", "device-7"])
    #expect(try page(since: 998, after: first.last, limit: 9).map(\.deviceID) == ["device-4", "device-5"])
    let other = IPv4Prefix(IPv4Address(bits: 0x0B00_0000), length: 24)
    #expect(
      try store.read { db throws(StoreError) in
        try db.leasesUnused(since: 2000, in: other, after: nil, limit: 9)
      }.isEmpty)
  }

  // MARK: Free addresses

  @Test(arguments: StoreKind.allCases)
  func `free addresses are found from the lowest up, past what is taken`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(3), to: 100)
    try store.give(address(4), to: 101)
    #expect(try [1, 2, 3].map { try store.takeFree(for: $0) } == [address(2), address(5), address(6)])
    try store.drop(address(4))
    #expect(try [4, 5].map { try store.takeFree(for: $0) } == [address(4), address(7)])
  }

  @Test(arguments: StoreKind.allCases)
  func `a full pool has none left, and one again when a lease is dropped`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    let small = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 29))
    #expect(try (1...5).map { try store.takeFree(for: $0, in: small) } == (2...6).map { address($0) })
    #expect(try store.takeFree(for: 6, in: small) == nil)
    try store.drop(address(5))
    #expect(try store.takeFree(for: 6, in: small) == address(5))
    #expect(try store.takeFree(for: 7, in: small) == nil)
    // In a larger one there is room, below it too.
    let larger = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 28), relayAddress: address(1))
    #expect(try store.takeFree(for: 7, in: larger) == address(7))
  }

  @Test(arguments: StoreKind.allCases)
  func `what an operation that failed would have taken is free`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    try store.give(address(2), to: 100)
    for key in [1, 2] {
      try store.admit(key, "device-\(key)")
      #expect(throws: StoreError.self) {
        try store.change { [pool] db throws(StoreError) in
          guard let device = try db.device(key: bytes(key))?.device, let free = try db.freeAddress(in: pool) else {
            throw .noSuchDevice
          }
          let lease = RecordChange.moveLease(of: device, from: nil, to: free, at: 1)
          // The second change fails, so the first is undone.
          return [.removeLease(IPv4Address(bits: 0x0A00_0002))] + lease + [
            .removeDevice(key: bytes(100)),
            .putLease(
              LeaseRecord(address: free, key: bytes(100), deviceID: "device-100", isPinned: false, lastUsed: 1)),
          ]
        }
      }
    }
    #expect(try store.leases().map(\.address) == [address(2)])
    #expect(try store.takeFree(for: 3) == address(3))
  }

  // MARK: The network

  @Test(arguments: StoreKind.allCases)
  func `the network is remembered`(kind: StoreKind) throws {
    let store = try StoreFixture(kind)
    #expect(try store.read { db throws(StoreError) in try db.network() } == nil)
    for ownPool6 in [nil, IPv6Prefix("fd00:1:2:3::/96")] {
      let network = NetworkRecord(
        pool: pool.prefix, relayAddress: address(1), ownPool: IPv4Prefix("10.7.7.0/24"), ownPool6: ownPool6)
      try store.change { _ in [.putNetwork(network)] }
      #expect(try store.read { db throws(StoreError) in try db.network() } == network)
    }
  }

}
