import SystemIO
import Testing
import Tun

/// What a device sees of its host's network, in a network of its own.
@Suite(
  .serialized,
  .enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement)
) struct NetworkMonitorTests {
  /// What a monitor tells while `body` changes something: until it has told of what is wanted, or for `limit`.
  private func changes(
    own: UInt32? = nil, within limit: Duration = .seconds(20),
    until isWanted: @escaping (NetworkChange) -> Bool = { _ in true }, _ body: () -> Void
  ) throws -> [NetworkChange] {
    let loop = try EventLoop()
    var changes: [NetworkChange] = []
    let monitor = try NetworkMonitor(on: loop, own: own) { change in
      changes.append(change)
      if isWanted(change) { loop.stop() }
    }
    body()
    loop.schedule(after: limit) { loop.stop() }
    loop.run()
    monitor.stop()
    return changes
  }

  @Test func `links, addresses and routes that change are told, together`() throws {
    let network = try NetworkNamespace()
    try network.run {
      shell("ip link add one type veth peer name two")
      let told = try changes {
        shell("ip link set two up; ip link set one up; ip addr add 192.0.2.1/24 dev one")
        shell("ip route add default via 192.0.2.2")
      }
      #expect(told.count == 1)
      #expect(try changes { shell("ip addr add 192.0.2.9/24 dev one") }.count == 1)
      #expect(try changes { shell("ip addr del 192.0.2.9/24 dev one") }.count == 1)
      #expect(try changes { shell("ip route replace default via 192.0.2.3") }.count == 1)
    }
  }

  @Test func `a link that carries packets again is told by its index`() throws {
    let network = try NetworkNamespace()
    try network.run {
      shell("ip link add one type veth peer name two; ip link set one up; ip link set two up")
      let index = try interfaceIndex(of: "one")
      // The kernel takes note of a carrier later, and of one that is back by then not at all.
      let isUp = "ip link show one | grep -q 'state UP'"
      shell("until \(isUp); do sleep 0.01; done")
      let told = try changes(until: { $0.mayHaveRestored(index) }) {
        shell("ip link set two down; while \(isUp); do sleep 0.01; done; ip link set two up")
      }
      #expect(told.contains { $0.mayHaveRestored(index) })
      #expect(!told.contains { $0.mayHaveRestored(index + 100) })
    }
  }

  @Test func `what happens at the own interface is told apart, under any name`() throws {
    let network = try NetworkNamespace()
    try network.run {
      // Addresses that the kernel makes by itself come when they like.
      setNetworkVariable("ipv6/conf/all/disable_ipv6", to: "1")
      setNetworkVariable("ipv6/conf/default/disable_ipv6", to: "1")
      shell("ip link add one type veth peer name two; ip link set two up; ip link set one up")
      let index = try interfaceIndex(of: "one")
      for change in [
        "ip addr add 192.0.2.1/24 dev one", "ip route add 198.51.100.0/24 via 192.0.2.2", "ip addr flush dev one",
        "ip link set one mtu 1300", "ip link set one down; ip link set one name other; ip link set other up",
        "ip route add unreachable 192.0.2.0/24 proto kernel metric 4294967295",
      ] {
        let told = try changes(own: index) { shell(change) }
        #expect(told.count == 1 && told[0].concernsOwnInterface && !told[0].hasLostOwnInterface, "\(change)")
        // The link itself, when it goes down and comes back, may be told at its other end.
        if !change.contains("down") { #expect(!told[0].concernsHost, "\(change)") }
      }
      let told = try changes(own: index) { shell("ip addr add 203.0.113.1/24 dev two") }
      #expect(told.count == 1 && told[0].concernsHost && !told[0].concernsOwnInterface)
    }
  }

  @Test(arguments: ["ip link delete one", "ip link set one netns $pid"])
  func `that the own interface is gone is told, deleted or moved`(command: String) throws {
    let network = try NetworkNamespace()
    try network.run {
      shell("ip link add one type veth peer name two; ip link set two up; ip link set one up")
      let index = try interfaceIndex(of: "one")
      let told = try changes(own: index, until: \.hasLostOwnInterface) {
        shell(
          """
          unshare --net sleep 30 >/dev/null 2>&1 & pid=$!
          while [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
          \(command); kill $pid
          """)
      }
      #expect(told.contains { $0.hasLostOwnInterface })
    }
  }

  /// What the kernel says now.
  private func path(to address: SocketAddress) throws -> NetworkPath? {
    var finder = try PathFinder()
    return finder.path(to: address)
  }

  @Test func `the way to an address is its interface, router and source`() throws {
    let network = try NetworkNamespace()
    try network.run {
      let far = try #require(SocketAddress(numeric: "203.0.113.9", port: 3334))
      #expect(try path(to: far) == nil)
      shell("ip link add one type veth peer name two; ip link set one up; ip link set two up")
      shell("ip addr add 192.0.2.1/24 dev one; ip route add default via 192.0.2.2")
      let index = try interfaceIndex(of: "one")
      let before = try #require(try path(to: far))
      #expect(before.interface == index && before.gateway == [192, 0, 2, 2] && before.source == [192, 0, 2, 1])
      let near = try #require(SocketAddress(numeric: "192.0.2.7", port: 3334))
      #expect(try path(to: near)?.gateway == [])
      shell("ip route replace default via 192.0.2.3")
      let after = try #require(try path(to: far))
      #expect(after != before)
      shell("ip link set one down")
      #expect(try path(to: far) == nil)

      let local = try #require(SocketAddress(numeric: "192.0.2.1", port: 1))
      #expect(HostAddresses.include(local))
      #expect(!HostAddresses.include(near))
    }
  }

  @Test func `the way to an IPv6 address is found too`() throws {
    let network = try NetworkNamespace()
    try network.run {
      shell("ip link add one type veth peer name two; ip link set one up; ip link set two up")
      shell("ip addr add 2001:db8:1::1/64 dev one nodad; ip -6 route add default via 2001:db8:1::2")
      let far = try #require(SocketAddress(numeric: "2001:db8:2::9", port: 3334))
      let found = try #require(try path(to: far))
      #expect(found.source == SocketAddress(numeric: "2001:db8:1::1", port: 1)?.bytes)
      #expect(found.gateway == SocketAddress(numeric: "2001:db8:1::2", port: 1)?.bytes)
    }
  }
}
