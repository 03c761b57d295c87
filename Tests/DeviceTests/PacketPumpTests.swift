import Link
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@testable import Device

/// Two devices' data paths, joined without a relay, one step after the other.
@Suite struct PacketPumpTests {
  private final class Pair {
    let addresses = [IPv4Address(bits: 0x0A00_0002), IPv4Address(bits: 0x0A00_0003)]
    let interfaces: [MemoryPacketDevice]
    let pumps: [PacketPump]
    private let connections: [FrameConnection]
    private let memory = ReceiveMemory()

    init() throws {
      let sockets = try SocketPair()
      let loop = try EventLoop()
      connections = [
        FrameConnection(sockets.first, loop: loop, queueLimit: 1 << 20),
        FrameConnection(sockets.second, loop: loop, queueLimit: 1 << 20),
      ]
      interfaces = [try MemoryPacketDevice(), try MemoryPacketDevice()]
      pumps = [0, 1].map { [interfaces, addresses] end in
        PacketPump(
          interfaces[end],
          Membership(
            deviceID: "device-\(end)", address: addresses[end],
            pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24), relayAddress: IPv4Address(bits: 0x0A00_0001)),
          PeerSettings(key: testKey("device-\(end)")), on: loop, onWarning: { _ in })
      }
      for end in [0, 1] {
        pumps[end].uplink = connections[end]
        tell(end, isThere: true)
      }
    }

    /// The relay tells a device whether the other is there.
    func tell(_ end: Int, isThere: Bool) {
      let peers = isThere ? [testPeer(addresses[1 - end], "device-\(1 - end)")] : []
      _ = pumps[end].update(PeerUpdate(revision: 1, since: nil, joined: peers))
    }

    func send(_ packet: [UInt8], from end: Int) throws {
      interfaces[end].inject([UInt8](repeating: 0, count: OffloadHeader.size) + packet)
      try pumps[end].pump()
    }

    /// Lets both ends read what is there, and answer.
    func settle() throws {
      for end in [1, 0, 1, 0] {
        connections[1 - end].flush()
        try connections[end].receive(
          using: memory,
          deliver: { frame, header in
            let payload = UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...])
            switch header.type {
            case .peerHandshake:
              pumps[end].deliver(handshake: UnsafeRawBufferPointer(payload), from: addresses[1 - end])
            case .data: pumps[end].deliver(payload, from: addresses[1 - end])
            default: break
            }
          }, finish: {})
      }
    }

    /// The next packet that an end has written to its interface, if any.
    func received(_ end: Int) -> [UInt8]? {
      interfaces[end].takeWritten(within: .zero).map { Array($0[OffloadHeader.size...]) }
    }
  }

  @Test func `what a peer sends that has connected anew arrives before the relay has told of it`() throws {
    let pair = try Pair()
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
    let pair = try Pair()
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
