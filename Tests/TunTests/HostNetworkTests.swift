import CLinux
import Testing
import Wire

@testable import Tun

/// What rtnetlink's messages say of a host's networks, and which of them collide with a pool.
@Suite struct HostNetworkTests {
  private func host(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

  private func attribute(_ type: Int, _ value: [UInt8]) -> [UInt8] {
    host(UInt16(4 + value.count)) + host(UInt16(type)) + value + [UInt8](repeating: 0, count: (4 - value.count & 3) & 3)
  }

  private func address(_ family: CInt, _ length: UInt8, _ attributes: [UInt8]) -> [UInt8] {
    [UInt8(family), length, 0, 0] + host(UInt32(5)) + attributes
  }

  private func route(
    _ length: UInt8, family: CInt = AF_INET, table: UInt8 = 254, kind: UInt8 = 1, flags: UInt32 = 0,
    _ attributes: [UInt8]
  ) -> [UInt8] {
    [UInt8(family), length, 0, 0, table, 3, 0, kind] + host(flags) + attributes
  }

  private func addresses(_ content: [UInt8]) -> [ListedNetwork] { ListedNetwork.addresses(content.span.bytes) }
  private func read(_ content: [UInt8]) -> ListedNetwork? {
    RouteMessage(content.span.bytes).flatMap { ListedNetwork($0) }
  }

  private func v4(_ text: String) throws -> HostNetwork.Prefix { .ipv4(try #require(IPv4Prefix(text))) }
  private func v6(_ text: String) throws -> HostNetwork.Prefix { .ipv6(try #require(IPv6Prefix(text))) }

  private let fd01 = bytes("fd01 0000 0000 0000 0000 0000 0000 0007")

  // MARK: Messages

  @Test func `an address is in the network of its prefix`() throws {
    let four = address(AF_INET, 16, attribute(IFA_ADDRESS, [10, 0, 3, 4]) + attribute(IFA_LOCAL, [10, 0, 3, 4]))
    #expect(
      addresses(four) == [ListedNetwork(prefix: try v4("10.0.0.0/16"), interface: 5, origin: .address("10.0.3.4"))])
    let six = address(AF_INET6, 64, attribute(IFA_ADDRESS, fd01))
    #expect(
      addresses(six) == [ListedNetwork(prefix: try v6("fd01::/64"), interface: 5, origin: .address("fd01::7"))])
  }

  @Test func `a link between two points has both of them`() throws {
    let content = address(AF_INET, 32, attribute(IFA_ADDRESS, [10, 0, 9, 9]) + attribute(IFA_LOCAL, [10, 1, 0, 1]))
    #expect(
      addresses(content) == [
        ListedNetwork(prefix: try v4("10.0.9.9/32"), interface: 5, origin: .address("10.1.0.1")),
        ListedNetwork(prefix: try v4("10.1.0.1/32"), interface: 5, origin: .address("10.1.0.1")),
      ])
  }

  @Test(arguments: ["fe80", "febf", "ff02"]) func `link-local and multicast networks are none`(start: String) {
    let first = bytes(start + "0000 0000 0000 0000 0000 0000 0001")
    #expect(addresses(address(AF_INET6, 64, attribute(IFA_ADDRESS, first))) == [])
    #expect(read(route(64, family: AF_INET6, attribute(Int(RTA_DST.rawValue), first))) == nil)
  }

  @Test func `a route leads to its destination, by the first of its ways`() throws {
    let destination = attribute(Int(RTA_DST.rawValue), [10, 0, 0, 0])
    let plain = destination + attribute(Int(RTA_OIF.rawValue), host(UInt32(3)))
    #expect(read(route(8, plain)) == ListedNetwork(prefix: try v4("10.0.0.0/8"), interface: 3, origin: .route))
    let ways = host(UInt16(8)) + [0, 0] + host(UInt32(6)) + host(UInt16(8)) + [0, 0] + host(UInt32(7))
    let several = destination + attribute(Int(RTA_MULTIPATH.rawValue), ways)
    #expect(read(route(24, several)) == ListedNetwork(prefix: try v4("10.0.0.0/24"), interface: 6, origin: .route))
    for kind: UInt8 in [6, 7, 8] {
      let rejecting = try #require(read(route(8, kind: kind, destination)))
      #expect(rejecting.interface == 0 && rejecting.origin == .rejectingRoute)
    }
  }

  @Test func `default routes, other tables, other kinds and the cache are left out`() {
    let destination = attribute(Int(RTA_DST.rawValue), [10, 0, 0, 0])
    #expect(read(route(0, [])) == nil)
    #expect(read(route(1, attribute(Int(RTA_DST.rawValue), [128, 0, 0, 0]))) == nil)
    #expect(read(route(8, table: 255, destination)) == nil)
    #expect(read(route(8, destination + attribute(Int(RTA_TABLE.rawValue), host(UInt32(1000))))) == nil)
    for kind: UInt8 in [0, 2, 3, 4, 5, 9, 10, 11] { #expect(read(route(8, kind: kind, destination)) == nil) }
    #expect(read(route(8, flags: 0x200, destination)) == nil)
    #expect(read(route(8, family: AF_BRIDGE, destination)) == nil)
  }

  @Test func `what is cut short or states impossible lengths is no network and never read beyond its end`() {
    let contents = [
      address(AF_INET, 16, attribute(IFA_ADDRESS, [10, 0, 3, 4]) + attribute(IFA_LOCAL, [10, 0, 3, 4])),
      address(AF_INET6, 64, attribute(IFA_ADDRESS, fd01)),
    ]
    for content in contents {
      for count in 0..<12 { #expect(addresses(Array(content[..<count])).isEmpty, "\(count) bytes") }
      for count in 12..<content.count where count != 16 { #expect(addresses(Array(content[..<count])).isEmpty) }
    }
    #expect(addresses(address(AF_INET, 33, attribute(IFA_ADDRESS, [10, 0, 3, 4]))).isEmpty)
    #expect(addresses(address(AF_INET, 16, attribute(IFA_ADDRESS, fd01))).isEmpty)
    #expect(addresses(address(AF_INET6, 129, attribute(IFA_ADDRESS, fd01))).isEmpty)
    let destination = route(24, attribute(Int(RTA_DST.rawValue), [10, 0, 0, 0]))
    for count in 0..<destination.count { #expect(read(Array(destination[..<count])) == nil) }
    #expect(read(route(33, attribute(Int(RTA_DST.rawValue), [10, 0, 0, 0]))) == nil)
    #expect(read(route(24, attribute(Int(RTA_DST.rawValue), [10, 0, 0]))) == nil)
  }

  // MARK: Collisions

  @Test(arguments: [
    ("10.0.0.0/24", "10.0.0.0/16", true), ("10.0.0.0/16", "10.0.7.0/24", true), ("10.0.0.0/24", "10.0.0.9/32", true),
    ("10.0.0.0/24", "10.0.1.0/24", false), ("10.0.0.0/24", "9.255.0.0/16", false), ("10.0.0.0/24", "0.0.0.0/2", true),
  ])
  func `networks collide if one contains the other`(pool: String, other: String, overlaps: Bool) throws {
    let network = HostNetwork(prefix: try v4(other), interface: "eth0", origin: .route)
    #expect((NetworkCollision(of: [try v4(pool)], with: [network]) != nil) == overlaps)
  }

  @Test(
    arguments: [
      ("10.0.0.0/8", .route, [false: true, true: false]), ("10.0.0.0/24", .route, [false: true, true: true]),
      ("10.0.0.0/25", .route, [false: true, true: true]), ("10.0.0.0/8", .rejectingRoute, [false: false, true: false]),
      ("10.0.0.0/25", .rejectingRoute, [false: true, true: true]),
      ("10.0.0.0/16", .address("10.0.3.4"), [false: true, true: true]),
    ] as [(String, HostNetwork.Origin, [Bool: Bool])])
  func `a route to more than the pool counts for a new device, and if it forwards packets`(
    prefix: String, origin: HostNetwork.Origin, collides: [Bool: Bool]
  ) throws {
    let network = HostNetwork(prefix: try v4(prefix), interface: nil, origin: origin)
    for isKnown in [false, true] {
      let collision = NetworkCollision(of: [try v4("10.0.0.0/24")], with: [network], isKnown: isKnown)
      #expect((collision != nil) == collides[isKnown])
    }
  }

  @Test func `the advice names the relay's key for the family, and the way to remove what collides`() throws {
    func advice(_ pool: HostNetwork.Prefix, _ network: HostNetwork) throws -> String {
      try #require(NetworkCollision(of: [pool], with: [network])).advice
    }
    let pool6 = try v6("fd00:1:2:3::/96")
    let route = HostNetwork(prefix: try v6("fc00::/7"), interface: "eth0", origin: .route)
    #expect(
      try advice(pool6, route)
        == "remove that route, or have the relay use another IPv6 prefix (relay.pool6: another /96 within fd00::/8, or "
        + "off)"
    )
    let address = HostNetwork(prefix: try v4("10.0.0.0/29"), interface: "docker0", origin: .address("10.0.0.1"))
    #expect(
      try advice(try v4("10.0.0.0/24"), address)
        == "take that network away, or have the relay use another pool (relay.pool: auto)")
  }

  @Test func `a collision names both sides, and the first of them`() throws {
    let networks = [
      HostNetwork(prefix: try v4("192.168.0.0/16"), interface: "eth1", origin: .address("192.168.0.9")),
      HostNetwork(prefix: try v4("10.0.0.0/16"), interface: "eth0", origin: .address("10.0.3.4")),
      HostNetwork(prefix: try v4("10.0.0.0/8"), interface: nil, origin: .route),
    ]
    let pool = try #require(IPv4Prefix("10.0.0.0/24"))
    let pool6 = try #require(IPv6Prefix("fd00:1:2:3::/96"))
    let pools = HostNetwork.Prefix.pools(pool, pool6)
    #expect(
      NetworkCollision(of: pools, with: networks)?.description
        == "the network 10.0.0.0/24 overlaps with 10.0.0.0/16 on eth0 (address 10.0.3.4)")
    #expect(
      NetworkCollision(of: pools, with: [networks[2]])?.description
        == "the network 10.0.0.0/24 overlaps with 10.0.0.0/8 (route)")
    let wide = HostNetwork(prefix: try v6("fc00::/7"), interface: "tun0", origin: .route)
    #expect(
      NetworkCollision(of: pools, with: [wide])?.description
        == "the network fd00:1:2:3::/96 overlaps with fc00::/7 on tun0 (route)")
    #expect(NetworkCollision(of: HostNetwork.Prefix.pools(pool, nil), with: [wide, networks[0]]) == nil)
  }

  @Test(arguments: [
    ("10.0.0.5", true), ("10.0.1.5", false), ("fd00:1:2:3::1", true), ("fe80::1%eth0", false), ("relay.example", nil),
  ])
  func `the relay's own address collides with a pool that has it`(address: String, collides: Bool?) throws {
    let pool6 = try #require(IPv6Prefix("fd00:1:2:3::/96"))
    let pools = HostNetwork.Prefix.pools(try #require(IPv4Prefix("10.0.0.0/24")), pool6)
    let place = HostNetwork.Prefix(host: address)
    #expect((place == nil) == (collides == nil))
    guard let place else { return }
    let collision = NetworkCollision(of: pools, withRelayAt: place)
    #expect((collision != nil) == collides)
    if let collision { #expect(collision.description.contains("has the address \(address), at which")) }
  }
}

/// The same of a real kernel.
@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement))
struct HostNetworksTests {
  /// All but loopback's, as text.
  private func list() throws -> [String] {
    try HostNetworks.list().filter { $0.interface != "lo" }.map(\.description)
  }

  @Test func `addresses come first, then routes, of both families`() throws {
    try NetworkNamespace().run {
      shell(
        """
        ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up
        ip address add 10.0.3.4/16 dev eth0; ip -6 address add fd07::1/64 dev eth0 nodad
        ip route add default via 10.0.0.1; ip route add 172.16.0.0/12 via 10.0.0.1
        ip route add blackhole 192.0.2.0/24; ip route add 198.51.100.0/24 via 10.0.0.1 table 77
        ip route add 203.0.113.0/25 nexthop via 10.0.0.1 nexthop via 10.0.0.2
        ip -6 route add fd08::/48 dev eth0; ip -6 route add default dev eth0
        """)
      let networks = try list()
      #expect(
        Array(networks.prefix(2)) == ["10.0.0.0/16 on eth0 (address 10.0.3.4)", "fd07::/64 on eth0 (address fd07::1)"])
      #expect(
        Set(networks.dropFirst(2)) == [
          "10.0.0.0/16 on eth0 (route)", "172.16.0.0/12 on eth0 (route)", "192.0.2.0/24 (route)",
          "203.0.113.0/25 on eth0 (route)", "fd07::/64 on eth0 (route)", "fd08::/48 on eth0 (route)",
        ])
    }
  }

  @Test func `thousands of routes are all listed`() throws {
    try NetworkNamespace().run {
      shell(
        """
        ip link add eth0 type veth peer name eth1; ip link set eth0 up
        for i in $(seq 0 49); do for k in $(seq 0 99); do
          echo route add 172.$((16 + i % 16)).$i.$k/32 dev eth0
        done; done | ip -batch -
        """)
      let networks = try list()
      #expect(networks.count == 5000)
      #expect(networks.contains("172.17.49.99/32 on eth0 (route)"))
    }
  }

  @Test func `what belongs to the interface itself is not among the others`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let pool6 = try #require(IPv6Prefix("fd00:1:2:3::/96"))
      try tun.configure(
        address: #require(IPv4Address("10.9.0.2")), in: #require(IPv4Prefix("10.9.0.0/24")), and: pool6, mtu: 1400)
      shell("ip route add 192.168.77.0/24 via 10.9.0.1")
      let others = try tun.hostNetworks()
      #expect(others.allSatisfy { $0.interface == "lo" })
      let networks = try list()
      #expect(networks.contains("192.168.77.0/24 on mnedc0 (route)"))
      #expect(networks.contains("fd00:1:2:3::/96 on mnedc0 (address fd00:1:2:3::a09:2)"))
    }
  }

  @Test func `a host without IPv6 has its other networks`() throws {
    try NetworkNamespace().run {
      setNetworkVariable("ipv6/conf/all/disable_ipv6", to: "1")
      shell("ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip address add 10.0.3.4/16 dev eth0")
      let networks = try list()
      #expect(networks.first == "10.0.0.0/16 on eth0 (address 10.0.3.4)")
    }
  }
}
