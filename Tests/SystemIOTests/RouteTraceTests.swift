import SystemIO
import TestSupport
import Testing

@Suite struct RouteTraceTests {
  @Test(arguments: ["127.0.0.1", "::1"]) func `there is no router before this host itself`(_ host: String) throws {
    let target = try #require(SocketAddress(numeric: host, port: 3334))
    let began = Instant.now()
    let deadline = began.advanced(by: generousWait)
    #expect(RouteTrace.routers(towards: target, limit: 8, until: deadline).isEmpty)
    #expect(Instant.now() < deadline, "the refusal ends the search")
  }
}
