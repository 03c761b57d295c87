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
  let neighbourhoods: [Neighbourhood]
  let pumps: [PacketPump]
  let loop: EventLoop
  private let connections: [FrameConnection]
  private let memory = ReceiveMemory()

  init(
    takesJoinedDatagrams: Bool = false,
    makeExchange: (_ end: Int, PeerLinks, Neighbourhood, EventLoop) -> PeerExchange? = { _, _, _, _ in nil }
  ) throws {
    let sockets = try SocketPair()
    loop = try EventLoop()
    connections = [
      FrameConnection(sockets.first, loop: loop, queueLimit: 1 << 20),
      FrameConnection(sockets.second, loop: loop, queueLimit: 1 << 20),
    ]
    interfaces = try [0, 1].map { _ in try MemoryPacketDevice(takesJoinedDatagrams: takesJoinedDatagrams) }
    neighbourhoods = [0, 1].map { Neighbourhood(deviceID: "device-\($0)") }
    pumps = [0, 1].map { [interfaces, neighbourhoods, loop] end in
      let links = PeerLinks(PeerSettings(key: testKey("device-\(end)")), neighbourhoods[end], on: loop)
      let exchange = makeExchange(end, links, neighbourhoods[end], loop)
      return PacketPump(interfaces[end], neighbourhoods[end], links, exchange, on: loop) { _ in }
    }
    for end in [0, 1] {
      neighbourhoods[end].relay.connection = connections[end]
      rejoin(end)
      tell(end, isThere: true)
    }
  }

  /// A device has connected to the relay.
  func rejoin(_ end: Int) {
    neighbourhoods[end].rejoin(
      Membership(
        address: addresses[end], pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24),
        relayAddress: IPv4Address(bits: 0x0A00_0001)))
  }

  /// A device's state of the other one.
  func state(_ end: Int) -> PeerState? { neighbourhoods[end].peers[addresses[1 - end]] }

  /// The relay lists the other device, or not.
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

  /// Lets both ends read what has come, and answer.
  func settle() throws {
    for end in [1, 0, 1, 0] {
      connections[1 - end].flush()
      try connections[end].receiveWhole(
        using: memory,
        deliver: { frame, header in
          let payload = UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...])
          switch header.type {
          case .peerHandshake:
            pumps[end].deliver(handshake: UnsafeRawBufferPointer(payload), from: addresses[1 - end])
          case .data: pumps[end].deliver(payload, from: addresses[1 - end])
          default: break
          }
        })
    }
  }

  /// The next packet that an end has written to its interface, if any.
  func received(_ end: Int) -> [UInt8]? {
    interfaces[end].takeWritten(within: .zero).map { Array($0[OffloadHeader.size...]) }
  }
}
