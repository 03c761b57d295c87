import Device
import Link
import SystemIO
import SystemPackage
import TestSupport
import Tun
import Wire

/// Packets from one device's interface to another's, sealing and opening included.
func deviceChecks() throws -> [Check] {
  try [10, 1400, 60_000].flatMap { payload in
    try [false, true].map { isIPv6 in
      Check(
        sentence: "ten thousand packets of \(payload) bytes, IPv\(isIPv6 ? 6 : 4), from one interface to the other",
        work: try packets(payload: payload, isIPv6: isIPv6), rounds: 1000)
    }
  }
}

/// An interface with as many equal packets as are asked for, which counts what is written to it.
private final class Source: PacketDevice {
  let takesJoinedDatagrams = false
  let name = "source"
  var packet: [UInt8]
  var remaining = 0
  var written = 0

  init(_ packet: [UInt8]) { self.packet = packet }

  func register(with loop: EventLoop, handler: any EventHandler) throws(Errno) {}
  func deregister(from loop: EventLoop) {}

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
    guard remaining > 0 else { return nil }
    remaining -= 1
    packet.withUnsafeBytes { buffer.copyMemory(from: $0) }
    return packet.count
  }

  func write(_ packet: UnsafeRawBufferPointer) -> Bool {
    written += 1
    return true
  }

  func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6? { nil }

  func restore() throws(TunError) -> InterfaceRepair { InterfaceRepair() }
  func clearAddresses() throws(TunError) {}
  func hostNetworks() throws(TunError) -> [HostNetwork] { [] }
}

private let pool6 = IPv6Prefix(IPv6Address(high: 0xFD00_0001_0002_0003, low: 0), length: 96)

private func packet(_ source: IPv4Address, _ destination: IPv4Address, payload: Int, isIPv6: Bool) -> [UInt8] {
  let payload = [UInt8](repeating: 7, count: payload)
  return isIPv6
    ? datagram(from: pool6.address(of: source), to: pool6.address(of: destination), payload)
    : datagram(from: source, to: destination, payload)
}

/// Ten packets a round, through two pumps and the connection between them.
private func packets(payload: Int, isIPv6: Bool) throws -> (Int) throws -> Void {
  let pair = try SocketPair()
  let loop = try EventLoop()
  let addresses = [IPv4Address(bits: 0x0A00_0002), IPv4Address(bits: 0x0A00_0003)]
  let connections = [
    FrameConnection(pair.first, loop: loop, queueLimit: 4 << 20),
    FrameConnection(pair.second, loop: loop, queueLimit: 4 << 20),
  ]
  let sources = [0, 1].map { end in
    Source(
      [UInt8](repeating: 0, count: OffloadHeader.size)
        + packet(addresses[end], addresses[1 - end], payload: payload, isIPv6: isIPv6))
  }
  let pumps = [0, 1].map { end in
    let neighbourhood = Neighbourhood(deviceID: "device-\(end)")
    neighbourhood.relay.connection = connections[end]
    neighbourhood.rejoin(
      Membership(
        address: addresses[end], pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24),
        relayAddress: IPv4Address(bits: 0x0A00_0001), pool6: pool6, address6: pool6.address(of: addresses[end])))
    let links = PeerLinks(PeerSettings(key: testKey("device-\(end)")), neighbourhood, on: loop)
    let pump = PacketPump(sources[end], neighbourhood, links, on: loop, onWarning: { _ in })
    _ = pump.update(PeerUpdate(revision: 1, since: nil, joined: [testPeer(addresses[1 - end], "device-\(1 - end)")]))
    return pump
  }
  let memory = ReceiveMemory()
  func receive(_ end: Int) throws {
    try connections[end].receive(
      using: memory,
      deliver: { frame, header in
        let payload = UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...])
        if header.type == .peerHandshake {
          pumps[end].deliver(handshake: UnsafeRawBufferPointer(payload), from: addresses[1 - end])
        } else {
          pumps[end].deliver(payload, from: addresses[1 - end])
        }
      }, finish: {})
  }
  // The handshake: initiation, response, and what has waited.
  sources[0].remaining = 1
  try pumps[0].pump()
  try receive(1)
  try receive(0)
  return { rounds in
    let atFirst = sources[1].written
    for _ in 0..<rounds {
      sources[0].remaining = 10
      try pumps[0].pump()
      var before = -1
      while before != sources[1].written {
        before = sources[1].written
        try receive(1)
        connections[0].flush()
      }
    }
    // The last may still be under way.
    try Broken.unless(sources[1].written - atFirst > rounds * 9, "too few packets have come")
  }
}
