import SystemIO
import Testing

@Suite struct HostAddressesTests {
  @Test func `what is named are addresses that others can connect to`() {
    let addresses = HostAddresses.reachable()
    for (host, isIPv6) in addresses {
      #expect(SocketAddress(numeric: host, port: 1)?.isIPv6 == isIPv6)
      #expect(!host.hasPrefix("127.") && host != "::1" && !host.hasPrefix("fe80"))
    }
    #expect(addresses.map(\.isIPv6) == addresses.map(\.isIPv6).sorted { !$0 && $1 }, "IPv4 comes first")
  }
}
