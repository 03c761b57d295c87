import SystemIO
import Testing
import Wire

@testable import Device

@Suite struct UnlocatedPacketsTests {
  private let now = Instant(nanoseconds: 1_000_000_000)
  private let peer = IPv4Address(bits: 0x0A00_0002)
  private let other = IPv4Address(bits: 0x0A00_0003)

  private func add(
    _ packet: [UInt8], to packets: inout UnlocatedPackets, for address: IPv4Address, after: Duration = .zero
  )
    -> Bool
  {
    packet.withUnsafeBytes { packets.add($0, for: address, at: now.advanced(by: after)) }
  }

  @Test func `packets for nobody come back at the relay's word`() {
    var packets = UnlocatedPackets()
    #expect(add([1], to: &packets, for: peer))
    #expect(packets.markAbsent(peer, at: now) == [[1]])
    #expect(packets.isAbsent(peer, at: now))
  }

  @Test func `packets for who was there before the relay was lost wait until he is back`() {
    var packets = UnlocatedPackets()
    packets.await([peer])
    #expect(add([1], to: &packets, for: peer))
    #expect(packets.markAbsent(peer, at: now).isEmpty)
    #expect(!packets.isAbsent(peer, at: now))
    #expect(packets.awaited == [peer])
    // For seconds, and those of later with them.
    #expect(!add([2], to: &packets, for: peer, after: .seconds(5)))
    #expect(packets.take(peer) == [[1], [2]])
    // From now on he is as any other.
    #expect(add([3], to: &packets, for: peer, after: .seconds(6)))
    #expect(packets.markAbsent(peer, at: now.advanced(by: .seconds(6))) == [[3]])
  }

  @Test func `others are not waited for, nor who has been back and left`() {
    var packets = UnlocatedPackets()
    packets.await([peer])
    #expect(add([1], to: &packets, for: other))
    #expect(packets.markAbsent(other, at: now) == [[1]])
    packets.areBack { $0 == peer }
    #expect(add([2], to: &packets, for: peer))
    #expect(packets.markAbsent(peer, at: now) == [[2]])
  }

  @Test func `what has waited in vain is given back in the end`() {
    var packets = UnlocatedPackets()
    packets.await([peer, other])
    #expect(add([1], to: &packets, for: peer))
    #expect(packets.endAwaiting() == [[1]])
    #expect(packets.awaited.isEmpty)
    #expect(add([2], to: &packets, for: other))
    #expect(packets.markAbsent(other, at: now) == [[2]])
  }
}
