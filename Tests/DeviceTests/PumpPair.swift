import Link
import SystemIO
import TestSupport
import Tun
import Wire

@testable import Device

/// Two devices' data paths, joined without a relay, one step after the other. Timers do not fire.
final class PumpPair {
  let addresses = [IPv4Address(bits: 0x0A00_0002), IPv4Address(bits: 0x0A00_0003)]
  let interfaces: [MemoryPacketDevice]
  let pumps: [PacketPump]
  let loop: EventLoop
  private let connections: [FrameConnection]
  private let memory = ReceiveMemory()

  init(takesJoinedDatagrams: Bool = false) throws {
    let sockets = try SocketPair()
    loop = try EventLoop()
    connections = [
      FrameConnection(sockets.first, loop: loop, queueLimit: 1 << 20),
      FrameConnection(sockets.second, loop: loop, queueLimit: 1 << 20),
    ]
    interfaces = try [0, 1].map { _ in try MemoryPacketDevice(takesJoinedDatagrams: takesJoinedDatagrams) }
    pumps = [0, 1].map { [interfaces, addresses, loop] end in
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

  func send(_ packet: [UInt8], behind header: OffloadHeader = OffloadHeader(), from end: Int) throws {
    var bytes = [UInt8](repeating: 0, count: OffloadHeader.size)
    bytes.withUnsafeMutableBytes { header.write(to: $0) }
    interfaces[end].inject(bytes + packet)
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
