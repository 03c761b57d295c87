import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@testable import Device

/// Two devices' data paths, joined without a relay, one step after the other.
@Suite struct PacketPumpTests {
  @Test func `what a peer sends that has connected anew arrives before the relay has told of it`() throws {
    let pair = try PumpPair()
    let packets = (0..<3).map { datagram(from: pair.addresses[0], to: pair.addresses[1], [UInt8($0)]) }
    try pair.send(packets[0], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[0])
    // To one of them the other is gone; to that one, nothing has changed.
    pair.tell(1, isThere: false)
    try pair.send(packets[1], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[1])
    // Only one that is sent away for good is not heard any more.
    _ = pair.pumps[1].update(
      PeerUpdate(revision: 2, since: 1, joined: [], left: [pair.addresses[0]], dismissed: [pair.addresses[0]]))
    try pair.send(packets[2], from: 0)
    try pair.settle()
    #expect(pair.received(1) == nil)
  }

  @Test func `packets for a peer that is not back yet wait until the relay tells of it`() throws {
    let pair = try PumpPair()
    let packets = (0..<2).map { datagram(from: pair.addresses[0], to: pair.addresses[1], [UInt8($0)]) }
    try pair.send(packets[0], from: 0)
    try pair.settle()
    #expect(pair.received(1) == packets[0])
    pair.pumps[0].rejoin(
      Membership(
        deviceID: "device-0", address: pair.addresses[0], pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24),
        relayAddress: IPv4Address(bits: 0x0A00_0001)))
    #expect(!pair.pumps[0].knowsWhoIsThere)
    pair.tell(0, isThere: false)
    #expect(pair.pumps[0].knowsWhoIsThere)
    try pair.send(packets[1], from: 0)
    pair.pumps[0].markAbsent(pair.addresses[1])
    try pair.settle()
    #expect(pair.received(1) == nil)
    pair.tell(0, isThere: true)
    try pair.settle()
    #expect(pair.received(1) == packets[1])
  }
}
