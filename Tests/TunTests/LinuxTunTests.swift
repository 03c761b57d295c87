import SystemIO
import SystemPackage
import Testing
import Wire

@testable import Tun

@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement))
struct LinuxTunTests {
  private func configure(_ tun: LinuxTun, _ address: String, _ prefix: String, mtu: Int = 1400) throws {
    try tun.configure(address: #require(IPv4Address(address)), in: #require(IPv4Prefix(prefix)), mtu: mtu)
  }

  private func configure6(_ tun: LinuxTun, _ pool6: String?, mtu: Int = 1400) throws -> MissingIPv6? {
    try tun.configure(
      address: #require(IPv4Address("10.9.0.2")), in: #require(IPv4Prefix("10.9.0.0/24")),
      and: pool6.map { try #require(IPv6Prefix($0)) }, mtu: mtu)
  }

  private func addresses6(_ name: String) -> [String] {
    shell("ip -o -6 address show dev \(name)").split(separator: "\n").map { line in
      line.split(separator: " ").dropFirst(3).prefix { $0 != "valid_lft" && $0 != "\\" }.joined(separator: " ")
    }
  }

  private func addresses(_ name: String) -> [String] {
    shell("ip -o -4 address show dev \(name)").split(separator: "\n").map { line in
      line.split(separator: " ").dropFirst(3).prefix { $0 != "scope" }.joined(separator: " ")
    }
  }

  // MARK: Making it

  @Test func `an interface goes with its object`() throws {
    try NetworkNamespace().run {
      do {
        let tun = try LinuxTun(name: "mnedc0", offload: true)
        #expect(tun.name == "mnedc0")
        #expect(shell("ip link show mnedc0").contains("state DOWN"))
      }
      #expect(shell("ip link show mnedc0").contains("does not exist"))
    }
  }

  @Test func `this kernel's offloads are all taken, or none if none are asked for`() throws {
    try NetworkNamespace().run {
      let full = try LinuxTun(name: "mnedc0", offload: true)
      let plain = try LinuxTun(name: "mnedc1", offload: false)
      #expect(full.offloads.contains([.checksum, .tcpSegmentation]))
      #expect(plain.offloads == [])
    }
  }

  @Test func `a name that is taken is refused, by whatever kind of interface`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      shell("ip link add other type veth peer name another; ip tuntap add mode tun name lasting")
      for name in [tun.name, "other", "lasting", "lo"] {
        #expect(throws: TunError.nameTaken(name)) { try LinuxTun(name: name, offload: true) }
      }
    }
  }

  @Test(arguments: ["", "a name", "sixteen-bytes-xx", ".", "..", "a/b", "a:b", "tun%d", "tü", "a\0b", "a\tb"])
  func `a bad name is refused before the kernel sees it`(name: String) {
    #expect(throws: TunError.badName(name)) { try LinuxTun(name: name, offload: true) }
  }

  // MARK: Configuring it

  @Test func `address, broadcast address, route, MTU and queue are set and the link is up`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      #expect(addresses("mnedc0") == ["10.9.0.2/24 brd 10.9.0.255"])
      let link = shell("ip -d link show mnedc0")
      #expect(link.contains("mtu 1400"))
      #expect(link.contains("qlen 1000"))
      #expect(link.contains(",UP"))
      #expect(shell("ip route").contains("10.9.0.0/24 dev mnedc0 proto kernel scope link src 10.9.0.2"))
      #expect(shell("ip -6 address show dev mnedc0") == "")
    }
  }

  @Test func `another address takes the place of earlier ones`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      shell("ip address add 192.0.2.1/32 dev mnedc0; ip address add 10.9.0.7/24 dev mnedc0")
      // In the same network, where removing the first address takes the second with it.
      try configure(tun, "10.9.0.7", "10.9.0.0/24", mtu: 9000)
      #expect(addresses("mnedc0") == ["10.9.0.7/24 brd 10.9.0.255"])
      #expect(shell("ip link show mnedc0").contains("mtu 9000"))
      try configure(tun, "10.9.0.7", "10.9.0.0/16")
      #expect(addresses("mnedc0") == ["10.9.0.7/16 brd 10.9.255.255"])
      try configure(tun, "172.16.5.6", "172.16.5.6/32")
      #expect(addresses("mnedc0") == ["172.16.5.6/32"])
      try configure(tun, "172.16.5.6", "172.16.5.6/31")
      #expect(addresses("mnedc0") == ["172.16.5.6/31"])
    }
  }

  @Test func `the same configuration again leaves routes alone`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      shell("ip route add 192.168.77.0/24 via 10.9.0.1")
      let before = shell("ip route; ip -d address show dev mnedc0")
      #expect(before.contains("192.168.77.0/24 via 10.9.0.1"))
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      #expect(shell("ip route; ip -d address show dev mnedc0") == before)
    }
  }

  @Test func `addresses of other interfaces are left alone`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let other = try LinuxTun(name: "mnedc1", offload: true)
      try configure(other, "10.8.0.2", "10.8.0.0/24")
      shell("ip -6 address add fd09::1/64 dev mnedc1 nodad")
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      try configure(tun, "10.9.0.3", "10.9.0.0/24")
      #expect(addresses("mnedc1") == ["10.8.0.2/24 brd 10.8.0.255"])
      #expect(addresses6("mnedc1") == ["fd09::1/64 scope global nodad"])
    }
  }

  @Test func `an address is there all the time while its prefix grows and shrinks`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      let events = shell("mktemp").split(separator: "\n")[0]
      let monitor = shell(
        """
        timeout 60 ip monitor address > \(events) 2>&1 &
        echo $!
        for i in $(seq 1000); do ss -f netlink -a | grep -q ':ip/' && break; sleep 0.02; done
        """)
      try configure(tun, "10.9.0.2", "10.9.0.0/16")
      #expect(addresses("mnedc0") == ["10.9.0.2/16 brd 10.9.255.255"])
      try configure(tun, "10.9.0.2", "10.9.0.0/20")
      #expect(addresses("mnedc0") == ["10.9.0.2/20 brd 10.9.15.255"])
      let lines = shell(
        """
        for i in $(seq 1000); do [ $(grep -c 'inet 10' \(events)) -ge 4 ] && break; sleep 0.02; done
        grep 'inet 10' \(events); rm \(events); kill \(monitor)
        """)
      let told = lines.split(separator: "\n").map { line in
        (line.contains("Deleted") ? "-" : "+") + (line.split(separator: " ").first { $0.hasPrefix("10.") } ?? "")
      }
      #expect(told == ["+10.9.0.2/16", "-10.9.0.2/24", "+10.9.0.2/20", "-10.9.0.2/16"])
    }
  }

  @Test func `an address with another broadcast address than it should have is made anew`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      shell("ip address add 10.9.0.2/24 broadcast 10.9.0.77 dev mnedc0; ip address add 10.9.0.3/24 dev mnedc0")
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      #expect(addresses("mnedc0") == ["10.9.0.2/24 brd 10.9.0.255"])
    }
  }

  // MARK: IPv6

  @Test func `an interface has the IPv6 address of its lease at once, and a route`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let missing = try configure6(tun, "fd00:1:2:3::/96")
      #expect(missing == nil)
      #expect(addresses6("mnedc0") == ["fd00:1:2:3::a09:2/96 scope global nodad"])
      #expect(shell("ip -6 route").contains("fd00:1:2:3::/96 dev mnedc0"))
      let before = shell("ip -6 route; ip -6 -d address show dev mnedc0")
      _ = try configure6(tun, "fd00:1:2:3::/96")
      #expect(shell("ip -6 route; ip -6 -d address show dev mnedc0") == before)
    }
  }

  @Test func `another network's IPv6 address takes the place of earlier ones, and none takes them away`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      _ = try configure6(tun, "fd00:1:2:3::/96")
      shell("ip -6 address add fd09::1/64 dev mnedc0 nodad; ip -6 address add fe80::1/64 dev mnedc0 nodad")
      _ = try configure6(tun, "fd00:1:2:4::/96")
      #expect(Set(addresses6("mnedc0")) == ["fd00:1:2:4::a09:2/96 scope global nodad", "fe80::1/64 scope link nodad"])
      _ = try configure6(tun, nil)
      #expect(addresses6("mnedc0") == ["fe80::1/64 scope link nodad"])
    }
  }

  @Test(arguments: ["all", "default"]) func `a host with IPv6 switched off goes on by IPv4`(which: String) throws {
    try NetworkNamespace().run {
      setNetworkVariable("ipv6/conf/\(which)/disable_ipv6", to: "1")
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let missing = try configure6(tun, "fd00:1:2:3::/96")
      guard case .refused = missing else {
        Issue.record("\(String(describing: missing))")
        return
      }
      #expect(addresses("mnedc0") == ["10.9.0.2/24 brd 10.9.0.255"])
      let none = try configure6(tun, nil)
      #expect(none == nil)
      // Switched on again, it is there with the next configuration.
      setNetworkVariable("ipv6/conf/all/disable_ipv6", to: "0")
      setNetworkVariable("ipv6/conf/mnedc0/disable_ipv6", to: "0")
      let missingNow = try configure6(tun, "fd00:1:2:3::/96")
      #expect(missingNow == nil)
      #expect(addresses6("mnedc0") == ["fd00:1:2:3::a09:2/96 scope global nodad"])
    }
  }

  @Test func `an MTU below 1280 leaves IPv4 alone, and a larger one brings IPv6 back`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let first = try configure6(tun, "fd00:1:2:3::/96", mtu: 1279)
      #expect(first == .mtuTooSmall(1279))
      #expect(addresses6("mnedc0") == [])
      let second = try configure6(tun, "fd00:1:2:3::/96", mtu: 1280)
      #expect(second == nil)
      #expect(addresses6("mnedc0").contains("fd00:1:2:3::a09:2/96 scope global nodad"))
    }
  }

  @Test func `an interface gives all its addresses up and takes them again`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      _ = try configure6(tun, "fd00:1:2:3::/96")
      try tun.clearAddresses()
      #expect(addresses("mnedc0") == [] && addresses6("mnedc0") == [])
      #expect(!shell("ip route; ip -6 route").contains("mnedc0"))
      try tun.clearAddresses()
      _ = try configure6(tun, "fd00:1:2:3::/96")
      #expect(addresses("mnedc0") == ["10.9.0.2/24 brd 10.9.0.255"])
      #expect(addresses6("mnedc0") == ["fd00:1:2:3::a09:2/96 scope global nodad"])
    }
  }

  @Test func `many addresses are all taken away`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      shell("for i in $(seq 1 250); do echo address add 10.1.$i.1/24 dev mnedc0; done | ip -batch -")
      #expect(addresses("mnedc0").count == 250)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      #expect(addresses("mnedc0") == ["10.9.0.2/24 brd 10.9.0.255"])
    }
  }

  @Test(arguments: [-1, 0, 67, 65_536, .max]) func `an MTU out of range is refused`(mtu: Int) throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      #expect(throws: TunError.mtuRefused(mtu, reason: "out of range")) {
        try configure(tun, "10.9.0.2", "10.9.0.0/24", mtu: mtu)
      }
      try configure(tun, "10.9.0.2", "10.9.0.0/24", mtu: 68)
      try configure(tun, "10.9.0.2", "10.9.0.0/24", mtu: 65_535)
    }
  }

  @Test(arguments: ["10.9.1.2", "10.9.0.0", "10.9.0.255"])
  func `an address that no host of the network can have is refused`(address: String) throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      #expect {
        try configure(tun, address, "10.9.0.0/24")
      } throws: { error in
        guard case .addressRefused("\(address)/24", _) = error as? TunError else { return false }
        return true
      }
    }
  }

  @Test func `what the kernel says of a refusal is passed on`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let index = try interfaceIndex(of: tun.name)
      var netlink = try RouteNetlink()
      var failure: NetlinkFailure?
      do throws(NetlinkFailure) { try netlink.setMTU(65_536, of: index) } catch { failure = error }
      #expect(failure == NetlinkFailure(error: .invalidArgument, text: "mtu greater than device maximum"))
      #expect(TunError(mtu: 65_536, of: "mnedc0", try #require(failure)).description.contains("device maximum"))
      do throws(NetlinkFailure) {
        failure = nil
        try netlink.bringUp(9999)
      } catch {
        failure = error
      }
      #expect(failure?.error == .operationNotSupportedByDevice)
    }
  }

  @Test func `an interface deleted by somebody else ends in errors, not worse`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      shell("ip link delete mnedc0")
      let buffer = RawBuffer(count: LinuxTun.maximumRead)
      #expect(throws: Errno.self) { try tun.read(into: buffer.bytes) }
      let packet = TestPacket(payload: [1])
      #expect(!tun.write(packet.packet, with: packet.header(segmentSize: nil)))
      #expect(throws: TunError.self) { try configure(tun, "10.9.0.2", "10.9.0.0/24") }
    }
  }

  // MARK: Packets

  /// An ICMP echo request, or the answer to it (RFC 792).
  private func echo(type: UInt8, from source: [UInt8], to destination: [UInt8], payload: [UInt8]) -> [UInt8] {
    var icmp: [UInt8] = [type, 0, 0, 0, 0x12, 0x34, 0, 1] + payload
    let checksum = ~TestPacket.sum(icmp)
    icmp[2] = UInt8(checksum >> 8)
    icmp[3] = UInt8(checksum & 0xFF)
    var header: [UInt8] = [0x45, 0, UInt8((20 + icmp.count) >> 8), UInt8((20 + icmp.count) & 0xFF), 0, 0, 0, 0, 64, 1]
    header += [0, 0] + source + destination
    let sum = ~TestPacket.sum(header)
    header[10] = UInt8(sum >> 8)
    header[11] = UInt8(sum & 0xFF)
    return header + icmp
  }

  @Test(arguments: [true, false]) func `the kernel answers a ping`(offload: Bool) throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: offload)
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      let buffer = RawBuffer(count: LinuxTun.maximumRead)
      let early = try tun.read(into: buffer.bytes)
      #expect(early == nil)
      let payload = TestPacket.payload(count: 1000)
      let request = echo(type: 8, from: [10, 9, 0, 1], to: [10, 9, 0, 2], payload: payload)
      #expect(tun.write(request, with: OffloadHeader()))
      let replies = try PacketCollector.collect(from: tun, count: 1) { $0[0] == 0x45 && $0[9] == 1 }
      let reply = try #require(replies.first)
      #expect(reply.header == OffloadHeader())
      #expect(Array(reply.packet[20...]) == Array(echo(type: 0, from: [], to: [], payload: payload)[12...]))
    }
  }

  @Test(arguments: [true, false]) func `what is no packet is refused`(offload: Bool) throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: offload)
      let packet = TestPacket(payload: [1, 2, 3])
      #expect(!tun.write(packet.packet, with: OffloadHeader()), "the link is down")
      try configure(tun, "10.9.0.2", "10.9.0.0/24")
      #expect(tun.write(packet.packet, with: OffloadHeader()))
      for count in 0..<OffloadHeader.size + 20 {
        #expect(![UInt8](repeating: 0x45, count: count).withUnsafeBytes(tun.write))
      }
      #expect(!tun.write(Array(packet.packet.dropLast()), with: OffloadHeader()))
      var header = packet.header(segmentSize: 0)
      #expect(!tun.write(packet.packet, with: header))
      header.segmentSize = 1
      #expect(tun.write(packet.packet, with: header))
      header.checksumStart = 60_000
      #expect(!tun.write(packet.packet, with: header))
    }
  }

  // The seam by which calls are counted is in debug builds alone.
  #if SYSTEM_CALL_FAULTS
    @Test(arguments: [true, false]) func `a packet is one call, in and out`(offload: Bool) throws {
      try NetworkNamespace().run {
        let tun = try LinuxTun(name: "mnedc0", offload: offload)
        try configure(tun, "10.9.0.2", "10.9.0.0/24")
        let buffer = RawBuffer(count: LinuxTun.maximumRead)
        let packet = TestPacket(payload: TestPacket.payload(count: 1000))
        let counts = SystemCallCounts()
        try counts.run {
          #expect(tun.write(packet.packet, with: OffloadHeader()))
          _ = try tun.read(into: buffer.bytes)
        }
        let tally = counts.now
        #expect(tally[.write] == 1 && tally[.read] == 1 && tally.total == 2)
      }
    }
  #endif
}
