import SystemIO
import TestSupport
import Testing
import Wire

@testable import Tun

/// What another program does to an interface, and that `restore` undoes it, in a network of its own.
@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.requirement))
struct RestorationTests {
  private static let own6 = "fd00:1:2:3::a09:2"
  private static let pool6 = "fd00:1:2:3::/96"

  private func configured(_ name: String = "mnedc0", pool: String = "10.9.0.0/24") throws -> LinuxTun {
    let tun = try LinuxTun(name: name, offload: true)
    let prefix = try #require(IPv4Prefix(pool))
    let address = IPv4Address(bits: prefix.network.bits + 2)
    try tun.configure(address: address, in: prefix, and: IPv6Prefix(Self.pool6), mtu: 1400)
    return tun
  }

  /// All that the kernel has for the interface, and of unreachable routes, without link-local addresses.
  private func state() -> Set<String> {
    let lines = shell(
      """
      ip -o link show dev mnedc0 | sed 's/.*<\\(.*\\)> \\(mtu [0-9]*\\).*/\\1 \\2/'
      ip -o address show dev mnedc0 | awk '{ print $3, $4 }'
      for family in -4 -6; do ip $family route show table all | grep -e mnedc0 -e unreachable; done
      """
    ).split(separator: "\n").map { String($0) }
    return Set(lines.filter { !$0.contains("fe80:") && !$0.contains("multicast") && !$0.contains("anycast") })
  }

  /// The state once the kernel has made the local route of the IPv6 address, a moment after the address has come.
  private func completeState() -> Set<String> {
    _ = wait { state().contains { $0.hasPrefix("local \(Self.own6) ") } }
    return state()
  }

  private func settles(to state: Set<String>) -> Bool {
    wait { self.state() == state }
  }

  @Test(
    arguments: [
      ("ip link set mnedc0 down", [.down, .address("\(own6)/96")]),
      ("ip link set mnedc0 down; ip link set mnedc0 up", [.address("\(own6)/96")]),
      ("ip link set mnedc0 carrier off", [.noCarrier]),
      ("ip link set mnedc0 carrier off; ip link set mnedc0 down", [.down, .noCarrier, .address("\(own6)/96")]),
      ("ip link set mnedc0 mtu 1200", [.mtu(1200), .address("\(own6)/96")]),
      ("ip link set mnedc0 mtu 1200; ip link set mnedc0 mtu 1400", [.address("\(own6)/96")]),
      ("ip link set mnedc0 mtu 9000", [.mtu(9000)]),
      ("ip address flush dev mnedc0", [.address("10.9.0.2/24"), .address("\(own6)/96")]),
      ("ip -4 address flush dev mnedc0", [.address("10.9.0.2/24")]),
      ("ip -6 address flush dev mnedc0", [.address("\(own6)/96")]),
      ("ip route flush dev mnedc0", [.route(pool)]),
      ("ip -6 route flush dev mnedc0", [.route(pool6Prefix)]),
      ("ip route flush table local dev mnedc0", [.route(own)]),
      ("ip -6 route del local \(own6)/128 dev mnedc0 table local", [.route(own6Prefix)]),
      ("ip route del unreachable 10.9.0.0/24", [.unreachableRoute(pool)]),
      ("ip -6 route del unreachable \(pool6) dev lo metric 4294967295", [.unreachableRoute(pool6Prefix)]),
      ("ip route add 10.9.0.0/24 dev lo; ip route del 10.9.0.0/24 dev mnedc0", [.route(pool)]),
    ] as [(String, [InterfaceRepair.Difference])])
  func `what another program has taken comes back, and is said`(
    command: String, differences: [InterfaceRepair.Difference]
  ) throws {
    try NetworkNamespace().run {
      let tun = try configured()
      let before = completeState()
      #expect(settles(to: before) && before.count >= 8, "\(before)")
      shell(command)
      // The kernel may still be making the local route of the address.
      var found: [InterfaceRepair.Difference] = []
      let isSettled = try wait {
        let repair = try tun.restore()
        found += repair.differences
        return !repair.isSettling && repair.missingIPv6 == nil
      }
      #expect(isSettled && found == differences, "\(command): \(found)")
      #expect(settles(to: before), "\(command): \(state().symmetricDifference(before))")
      let second = try tun.restore()
      #expect(second == InterfaceRepair(), "\(command): done again")
    }
  }

  private static let pool = HostNetwork.Prefix.ipv4(IPv4Prefix("10.9.0.0/24")!)
  private static let own = HostNetwork.Prefix.ipv4(IPv4Prefix("10.9.0.2/32")!)
  private static let pool6Prefix = HostNetwork.Prefix.ipv6(IPv6Prefix(pool6)!)
  private static let own6Prefix = HostNetwork.Prefix.ipv6(IPv6Prefix("\(own6)/128")!)

  @Test func `IPv6 that is switched off is said, and is there again once it is on`() throws {
    try NetworkNamespace().run {
      let tun = try configured()
      let before = completeState()
      setNetworkVariable("ipv6/conf/mnedc0/disable_ipv6", to: "1")
      let off = try tun.restore()
      guard case .refused = off.missingIPv6 else {
        Issue.record("\(off)")
        return
      }
      #expect(off.differences.isEmpty)
      setNetworkVariable("ipv6/conf/mnedc0/disable_ipv6", to: "0")
      let on = try tun.restore()
      #expect(on.differences == [.address("\(Self.own6)/96")] && on.missingIPv6 == nil)
      #expect(settles(to: before))
    }
  }

  @Test func `what another program adds stays, and an interface under another name is followed`() throws {
    try NetworkNamespace().run {
      let tun = try configured()
      shell("ip address add 192.0.2.1/24 dev mnedc0; ip route add 198.51.100.0/24 via 10.9.0.1")
      let repair = try tun.restore()
      #expect(repair.differences.isEmpty && shell("ip route").contains("198.51.100.0/24"))
      #expect(shell("ip address show dev mnedc0").contains("192.0.2.1/24"))
      shell("ip link set mnedc0 down; ip link set mnedc0 name other0")
      let renamed = try tun.restore()
      #expect(tun.name == "other0" && renamed.differences.contains(.down))
      #expect(shell("ip route").contains("10.9.0.0/24 dev other0"))
    }
  }

  @Test func `before it is configured and without addresses there is nothing to restore`() throws {
    try NetworkNamespace().run {
      let tun = try LinuxTun(name: "mnedc0", offload: true)
      let first = try tun.restore()
      #expect(first == InterfaceRepair() && shell("ip link show dev mnedc0").contains("state DOWN"))
      try tun.configure(address: #require(IPv4Address("10.9.0.2")), in: #require(IPv4Prefix("10.9.0.0/24")), mtu: 1400)
      try tun.clearAddresses()
      let second = try tun.restore()
      #expect(second == InterfaceRepair() && shell("ip address show dev mnedc0").contains("inet") == false)
    }
  }

  @Test func `an interface in a routing domain of its own has its routes there`() throws {
    try NetworkNamespace().run {
      // Not every kernel has them.
      guard shell("ip link add vrf0 type vrf table 77 && ip link set vrf0 up && ip link show vrf0").contains("vrf0:")
      else { return }
      let tun = try configured()
      shell("ip link set mnedc0 master vrf0")
      let repair = try tun.restore()
      // The kernel makes addresses and routes of the interface anew.
      #expect(!repair.differences.contains(.route(Self.pool)))
      #expect(!shell("ip route show table main").contains("dev mnedc0"))
    }
  }

  // MARK: Unreachable routes

  private func unreachable() -> Set<String> {
    Set(
      shell("ip route; ip -6 route").split(separator: "\n").filter { $0.contains("unreachable") }.map { line in
        String(line.split(separator: " ")[1])
      })
  }

  @Test func `packets for the network never leave by another interface`() throws {
    try NetworkNamespace().run {
      shell(
        """
        ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up
        ip address add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.2
        ip -6 address add 2001:db8::1/64 dev eth0 nodad; ip -6 route add default via 2001:db8::2
        """)
      let tun = try configured()
      #expect(shell("ip route get 10.9.0.9").contains("dev mnedc0"))
      #expect(shell("ip -6 route get fd00:1:2:3::9").contains("dev mnedc0"))
      shell("ip link set mnedc0 down")
      #expect(shell("ip route get 10.9.0.9").contains("No route to host"))
      #expect(shell("ip -6 route get fd00:1:2:3::9").contains("No route to host"))
      #expect(shell("ip route get 8.8.8.8").contains("dev eth0"))
      var finder = try PathFinder()
      for target in ["10.9.0.9", "fd00:1:2:3::9"] {
        let path = finder.path(to: try #require(SocketAddress(numeric: target, port: 1)))
        #expect(path == nil)
      }
      try tun.clearAddresses()
      #expect(unreachable() == [] && shell("ip route get 10.9.0.9").contains("dev eth0"))
    }
  }

  @Test func `they follow the network, and are no network of the host`() throws {
    try NetworkNamespace().run {
      let tun = try configured()
      #expect(unreachable() == ["10.9.0.0/24", Self.pool6])
      let networks = try tun.hostNetworks()
      let routes: [HostNetwork.Origin] = [.route, .rejectingRoute]
      #expect(networks.allSatisfy { $0.interface == "lo" && !routes.contains($0.origin) }, "\(networks)")
      try tun.configure(address: #require(IPv4Address("10.9.0.2")), in: #require(IPv4Prefix("10.9.0.0/16")), mtu: 1400)
      #expect(unreachable() == ["10.9.0.0/16"])
      // One that somebody else has made is a network of the host.
      shell("ip route add unreachable 172.16.0.0/12 metric 4294967295; ip route add unreachable 10.9.4.0/24")
      let others = try tun.hostNetworks().filter { $0.origin == .rejectingRoute }.map(\.description)
      #expect(Set(others) == ["172.16.0.0/12 (route)", "10.9.4.0/24 (route)"])
    }
  }

  @Test func `those of a killed program go at the next start, and those of other networks stay`() throws {
    try NetworkNamespace().run {
      var killed: LinuxTun? = try configured("mnedc0", pool: "10.8.0.0/24")
      let other = try LinuxTun(name: "mnedc1", offload: true)
      try other.configure(
        address: #require(IPv4Address("10.9.0.2")), in: #require(IPv4Prefix("10.9.0.0/24")),
        and: IPv6Prefix("fd00:9::/96"), mtu: 1400)
      // As with a process that ends, the interface goes with its descriptor.
      #expect(killed != nil)
      killed = nil
      #expect(unreachable() == ["10.8.0.0/24", Self.pool6, "10.9.0.0/24", "fd00:9::/96"])
      let next = try LinuxTun(name: "mnedc0", offload: true)
      #expect(unreachable() == ["10.9.0.0/24", "fd00:9::/96"])
      try next.configure(address: #require(IPv4Address("10.7.0.2")), in: #require(IPv4Prefix("10.7.0.0/24")), mtu: 1400)
      #expect(unreachable() == ["10.9.0.0/24", "fd00:9::/96", "10.7.0.0/24"])
      try other.clearAddresses()
      #expect(unreachable() == ["10.7.0.0/24"])
    }
  }
}
