import Control
import Testing

@testable import DeviceHost

@Suite struct PeerCommandsTests {
  @Test func `without a connection to the relay, an unknown peer may be there all the same`() {
    let own = PeersReport.Peer(address: "10.0.0.2", deviceId: "one", state: .unknown)
    var report = PeersReport(network: "10.0.0.0/24", self: own, complete: true, peers: [])
    #expect(PeerCommands.notFound("two", report).text.contains("no peer has the ID, name, address or fingerprint two"))
    report.disconnected = "waiting before the next attempt"
    let error = PeerCommands.notFound("two", report)
    #expect(
      error.text == """
        this host has no connection to the relay, and knows no peer two from before: waiting before the next attempt; \
        mnedc-ctl netcheck finds out more
        """)
    #expect(PeerCommands.notFound("one", report).text.hasPrefix("one is this host itself"))
  }
}
