import CLinux
import Glibc
import SystemIO
import SystemPackage
import Testing
import Tun
import Wire

/// Real sockets over two TUNs, each in a network of its own, whose packets are carried across as they are read:
///
///     network A: mnedc0, 10.9.0.2/24, fd09::a09:2/96  ⇄  carrier  ⇄  network B: mnedc0, 10.9.0.3/24, fd09::a09:3/96
@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement))
struct TunnelTests {
  /// Reads from one device and writes to the other, super-packets in parts if there is a limit to them.
  private final class Carrier: EventHandler {
    let source: LinuxTun
    let target: LinuxTun
    private let buffer = RawBuffer(count: LinuxTun.maximumRead)
    private(set) var segmentations: [UInt8: Int] = [:]
    private(set) var refused = 0
    private let limit: Int?
    private let divider = SuperPacketDivider()
    private(set) var parts = 0

    init(from source: LinuxTun, to target: LinuxTun, limit: Int?) {
      self.source = source
      self.target = target
      self.limit = limit
    }

    func handle(_ events: Events) {
      while let count = (try? source.read(into: buffer.bytes)) ?? nil {
        let packet = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
        if let header = OffloadHeader(parsing: packet.bytes) {
          segmentations[header.segmentation.kind.rawValue, default: 0] += 1
        }
        let isDivided =
          limit.map { limit in
            divider.divide(packet, limit: limit) { part in
              parts += 1
              write(part)
            }
          } ?? false
        if !isDivided { write(packet) }
      }
    }

    private func write(_ packet: UnsafeRawBufferPointer) {
      if !target.write(packet) { refused += 1 }
    }
  }

  /// `@unchecked`: the carriers belong to the loop's thread while it runs, and to the test's before and after.
  private final class Tunnel: @unchecked Sendable {
    let networks: [NetworkNamespace]
    let carriers: [Carrier]
    private let loop: EventLoop
    private var thread: SystemThread?

    init(offloads: [Bool], limit: Int? = nil) throws {
      let networks = [try NetworkNamespace(), try NetworkNamespace()]
      let devices = try [0, 1].map { side in
        try networks[side].run {
          let device = try LinuxTun(name: "mnedc0", offload: offloads[side])
          let pool6 = IPv6Prefix("fd09::/96")
          try device.configure(
            address: #require(IPv4Address("10.9.0.\(side + 2)")), in: #require(IPv4Prefix("10.9.0.0/24")), and: pool6,
            mtu: 1400)
          return device
        }
      }
      self.networks = networks
      carriers = [(0, 1), (1, 0)].map { Carrier(from: devices[$0], to: devices[$1], limit: limit) }
      loop = try EventLoop()
      for carrier in carriers { try carrier.source.register(with: loop, handler: carrier) }
      thread = SystemThread.start(name: "carrier") { [loop] in loop.run() }
    }

    /// Gives both ends this prefix, on the thread that has them; they have it once this returns true.
    func setPrefix(_ prefix: IPv4Prefix) throws -> Bool {
      let isDone = try WakeUp()
      loop.post { [self] in
        for side in [0, 1] {
          guard let address = IPv4Address("10.9.0.\(side + 2)") else { return }
          do { try carriers[side].source.configure(address: address, in: prefix, mtu: 1400) } catch { return }
        }
        isDone.raise()
      }
      return isDone.wait(until: Instant.now().advanced(by: .seconds(20)))
    }

    func stop() {
      loop.stop()
      thread?.join()
    }
  }

  /// A blocking socket that gives up after twenty seconds.
  private final class Socket: Sendable {
    private let descriptor: Descriptor

    private init(owning raw: CInt) throws {
      guard raw >= 0 else { throw Errno(rawValue: errno) }
      descriptor = Descriptor(owning: raw)
      set(SOL_SOCKET, SO_RCVTIMEO, timeval(tv_sec: 20, tv_usec: 0))
      set(SOL_SOCKET, SO_SNDTIMEO, timeval(tv_sec: 20, tv_usec: 0))
    }

    convenience init(_ family: CInt, _ type: __socket_type) throws {
      try self.init(owning: socket(family, CInt(type.rawValue), 0))
    }

    func set(_ level: CInt, _ option: CInt, _ value: some BitwiseCopyable) {
      withUnsafeBytes(of: value) { _ = setsockopt(descriptor.raw, level, option, $0.baseAddress, socklen_t($0.count)) }
    }

    func bind(_ host: String, _ port: UInt16) throws {
      try withAddress(host, port) { Glibc.bind(descriptor.raw, $0, $1) }
    }
    func connect(_ host: String, _ port: UInt16) throws {
      try withAddress(host, port) { Glibc.connect(descriptor.raw, $0, $1) }
    }
    func listen() { _ = Glibc.listen(descriptor.raw, 1) }
    func accept() throws -> Socket { try Socket(owning: Glibc.accept(descriptor.raw, nil, nil)) }
    func endOfSending() { _ = shutdown(descriptor.raw, CInt(SHUT_WR)) }

    func send(_ bytes: [UInt8]) throws {
      var sent = 0
      while sent < bytes.count {
        let count = bytes.withUnsafeBytes {
          Glibc.send(descriptor.raw, $0.baseAddress! + sent, bytes.count - sent, CInt(MSG_NOSIGNAL))
        }
        guard count > 0 else { throw Errno(rawValue: errno) }
        sent += count
      }
    }

    func receive() throws -> [UInt8] {
      var buffer = [UInt8](repeating: 0, count: 65_536)
      let count = recv(descriptor.raw, &buffer, buffer.count, 0)
      guard count >= 0 else { throw Errno(rawValue: errno) }
      return Array(buffer[..<count])
    }

    private func withAddress(
      _ host: String, _ port: UInt16, _ call: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) throws {
      var storage = sockaddr_storage()
      let isIPv6 = host.contains(":")
      let length = isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
      let result = withUnsafeMutableBytes(of: &storage) { bytes in
        bytes.storeBytes(of: sa_family_t(isIPv6 ? AF_INET6 : AF_INET), as: sa_family_t.self)
        bytes.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
        inet_pton(isIPv6 ? AF_INET6 : AF_INET, host, bytes.baseAddress! + (isIPv6 ? 8 : 4))
        return call(bytes.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t(length))
      }
      guard result == 0 else { throw Errno(rawValue: errno) }
    }
  }

  @Test(arguments: ["10.9.0.", "fd09::a09:"], [[true, true], [true, false], [false, true], [false, false]])
  func `a TCP stream arrives whole, whichever end has offloads`(network: String, offloads: [Bool]) throws {
    let tunnel = try Tunnel(offloads: offloads)
    try stream(through: tunnel, to: network + "3")
    let kind = network.contains(":") ? OffloadHeader.Segmentation.tcpv6 : .tcpv4
    let superPackets = tunnel.carriers[0].segmentations[kind.rawValue, default: 0]
    #expect(offloads[0] ? superPackets > 10 : superPackets == 0)
  }

  @Test(arguments: ["10.9.0.", "fd09::a09:"], [[true, true], [true, false]])
  func `a TCP stream arrives whole in parts of super-packets`(network: String, offloads: [Bool]) throws {
    for limit in [1400, 4500] {
      let tunnel = try Tunnel(offloads: offloads, limit: limit)
      try stream(through: tunnel, to: network + "3")
      #expect(tunnel.carriers[0].parts > 10)
    }
  }

  /// Sends a stream through the tunnel and stops it.
  private func stream(through tunnel: Tunnel, to host: String) throws {
    let family = host.contains(":") ? AF_INET6 : AF_INET
    let listener = try tunnel.networks[1].run { try Socket(family, SOCK_STREAM) }
    try listener.bind(host, 4000)
    listener.listen()
    let client = try tunnel.networks[0].run { try Socket(family, SOCK_STREAM) }
    try client.connect(host, 4000)
    let server = try listener.accept()

    let sent = TestPacket.payload(count: 1_000_001)
    let sender = SystemThread.start(name: "sender") {
      try? client.send(sent)
      client.endOfSending()
    }
    var received: [UInt8] = []
    while case let piece = try server.receive(), !piece.isEmpty { received += piece }
    sender.join()
    tunnel.stop()

    #expect(received.count == sent.count)
    #expect(received == sent)
    #expect(tunnel.carriers.map(\.refused) == [0, 0])
  }

  @Test func `an open connection goes on while the prefix of its address grows and shrinks`() throws {
    let tunnel = try Tunnel(offloads: [true, true])
    let listener = try tunnel.networks[1].run { try Socket(AF_INET, SOCK_STREAM) }
    try listener.bind("10.9.0.3", 4000)
    listener.listen()
    let client = try tunnel.networks[0].run { try Socket(AF_INET, SOCK_STREAM) }
    try client.connect("10.9.0.3", 4000)
    let server = try listener.accept()
    for prefix in ["10.9.0.0/16", "10.8.0.0/15", "10.9.0.0/24"] {
      let isSet = try tunnel.setPrefix(#require(IPv4Prefix(prefix)))
      #expect(isSet)
      try client.send(Array(prefix.utf8))
      #expect(try server.receive() == Array(prefix.utf8))
      try server.send([1])
      #expect(try client.receive() == [1])
    }
    tunnel.stop()
  }

  @Test(arguments: ["10.9.0.", "fd09::a09:"], [[true, true], [true, false], [false, true]])
  func `datagrams sent in one go arrive one by one`(network: String, offloads: [Bool]) throws {
    let tunnel = try Tunnel(offloads: offloads)
    let family = network.contains(":") ? AF_INET6 : AF_INET
    let receiver = try tunnel.networks[1].run { try Socket(family, SOCK_DGRAM) }
    try receiver.bind(network + "3", 4000)
    let sender = try tunnel.networks[0].run { try Socket(family, SOCK_DGRAM) }
    try sender.connect(network + "3", 4000)
    // SOL_UDP, UDP_SEGMENT
    sender.set(17, 103, CInt(1000))
    let sent = TestPacket.payload(count: 10_500)
    // A busy kernel may drop datagrams; whoever sends them tries again.
    var received: [[UInt8]] = []
    for _ in 0..<5 where received.count < 11 {
      try sender.send(sent)
      received = []
      while received.count < 11, let datagram = try? receiver.receive() { received.append(datagram) }
    }
    tunnel.stop()

    #expect(received.map(\.count) == Array(repeating: 1000, count: 10) + [500])
    #expect(Array(received.joined()) == sent)
    #expect(tunnel.carriers.map(\.refused) == [0, 0])
  }
}
