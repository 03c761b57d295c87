import Testing
import Wire

@Suite struct LocationTests {
  @Test(
    arguments: [
      ([], []), (["192.168.1.1", "10.9.9.1"], ["192.168.1.1", "10.9.9.1"]),
      (["192.168.1.1", "192.0.2.1", "10.0.0.1"], ["192.168.1.1"]), (["fd00::1", "2001:db8::1"], ["fd00::1"]),
      (["unknown", "10.0.0.1"], []),
    ] as [([String], [String])])
  func `routers count up to the first with a public address`(_ routers: [String], _ hops: [String]) {
    #expect(Orchestration.Location.privateHops(routers) == hops)
  }
}
