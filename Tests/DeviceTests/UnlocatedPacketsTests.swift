import SystemIO
import Testing
import Wire

@testable import Device

@Suite struct UnlocatedPacketsTests {
  private let now = Instant(nanoseconds: 1_000_000_000)
  private let peer = IPv4Address(bits: 0x0A00_0002)
  private let other = IPv4Address(bits: 0x0A00_0003)

  private func add(
    _ packet: [UInt8], to packets: inout UnlocatedPackets, for address: IPv4Address, isReturning: Bool = false,
    after: Duration = .zero
  ) -> Bool {
    packet.withUnsafeBytes {
      packets.add($0, for: address, isReturning: isReturning, at: now.advanced(by: after))
    }
  }

  @Test func `packets for nobody come back at the relay's word`() {
    var packets = UnlocatedPackets()
    #expect(add([1], to: &packets, for: peer))
    #expect(packets.markAbsent(peer, at: now) == [[1]])
    #expect(packets.isAbsent(peer, at: now))
  }

  @Test func `packets for an address wait a second for the relay's answer, and later ones are asked for anew`() {
    var packets = UnlocatedPackets()
    #expect(add([1], to: &packets, for: peer))
    #expect(!add([2], to: &packets, for: peer, after: .milliseconds(500)))
    #expect(add([3], to: &packets, for: peer, after: .seconds(1)))
    #expect(packets.take(peer) == [[3]])
    #expect(add([4], to: &packets, for: other))
    packets.dropOutdated(at: now.advanced(by: .seconds(1)))
    #expect(packets.addresses.isEmpty)
  }

  @Test func `packets for a peer that returns wait until it is back`() {
    var packets = UnlocatedPackets()
    #expect(add([1], to: &packets, for: peer, isReturning: true))
    #expect(!add([2], to: &packets, for: peer, isReturning: true, after: .seconds(5)))
    packets.dropOutdated(at: now.advanced(by: .seconds(9)))
    #expect(packets.take(peer) == [[1], [2]])
    #expect(packets.addresses.isEmpty)
  }
}
