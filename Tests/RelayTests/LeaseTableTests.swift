import Testing
import Wire

@testable import Relay

@Suite struct LeaseTableTests {
  private func table(_ pool: String = "10.0.0.0/24") throws -> LeaseTable {
    LeaseTable(pool: try #require(IPv4Prefix(pool)))
  }

  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  @Test func `the first device gets the second address, since the first is the relay's`() throws {
    var leases = try table()
    #expect(leases.relayAddress == address(1))
    #expect(leases.take(for: "a", wants: nil, required: false) == .success(address(2)))
    #expect(leases.take(for: "b", wants: nil, required: false) == .success(address(3)))
  }

  @Test func `a full pool of a /24 has 253 devices, and says so to the next`() throws {
    var leases = try table()
    var seen: Set<IPv4Address> = []
    for number in 0..<leases.capacity {
      seen.insert(try leases.take(for: "device-\(number)", wants: nil, required: false).get())
    }
    #expect(leases.capacity == 253)
    #expect(seen.count == 253)
    #expect(!seen.contains(address(0)) && !seen.contains(address(1)) && !seen.contains(address(255)))
    #expect(throws: Refusal.self) { try leases.take(for: "one-more", wants: nil, required: false).get() }
    #expect(leases.online == 253)
  }

  @Test func `a device that comes back gets its old address`() throws {
    var leases = try table()
    let first = try leases.take(for: "a", wants: nil, required: false).get()
    leases.release(first)
    _ = leases.take(for: "b", wants: nil, required: false)
    #expect(leases.take(for: "a", wants: nil, required: false) == .success(first))
  }

  @Test func `in a full pool the address unused for longest is given again`() throws {
    var leases = try table("10.0.0.0/29")
    let addresses = try (0..<5).map { try leases.take(for: "d\($0)", wants: nil, required: false).get() }
    leases.release(addresses[3])
    leases.release(addresses[1])
    #expect(leases.take(for: "new", wants: nil, required: false) == .success(addresses[3]))
    #expect(leases.take(for: "newer", wants: nil, required: false) == .success(addresses[1]))
    #expect(leases.take(for: "d3", wants: nil, required: false) != .success(addresses[3]))
  }

  @Test func `a wish for a free address is granted`() throws {
    var leases = try table()
    #expect(leases.take(for: "a", wants: address(77), required: false) == .success(address(77)))
    #expect(leases.take(for: "b", wants: address(77), required: false) == .success(address(2)))
  }

  @Test(arguments: [0, 1, 255, 256] as [UInt32])
  func `an address that cannot be leased is refused to whoever insists`(last: UInt32) throws {
    var leases = try table()
    guard case .failure(let refusal) = leases.take(for: "a", wants: address(last), required: true) else {
      Issue.record("\(address(last)) was leased")
      return
    }
    #expect(refusal.code == .addressTaken)
  }

  @Test func `an address of another device is refused to whoever insists`() throws {
    var leases = try table()
    _ = leases.take(for: "a", wants: address(9), required: true)
    leases.release(address(9))
    guard case .failure(let refusal) = leases.take(for: "b", wants: address(9), required: true) else {
      Issue.record("the address was leased twice")
      return
    }
    #expect(refusal.text.contains("leased to a"))
  }

  @Test func `a device may move to an address of its choice, and leaves the old one to others`() throws {
    var leases = try table("10.0.0.0/29")
    for number in 0..<4 { _ = leases.take(for: "d\(number)", wants: nil, required: false) }
    #expect(leases.take(for: "d0", wants: address(6), required: true) == .success(address(6)))
    #expect(leases.take(for: "new", wants: nil, required: false) == .success(address(2)))
    #expect(leases.online == 5)
  }
}
