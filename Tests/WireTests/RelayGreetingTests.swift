import Testing
import Wire

@Suite struct RelayGreetingTests {
  @Test(arguments: [nil, "fd00:1:2:3::/96"])
  func `a greeting has the version and the network`(pool6: String?) throws {
    let network = NetworkNotice(pool: IPv4Prefix("10.0.0.0/24")!, pool6: pool6.flatMap { IPv6Prefix($0) })
    let greeting = RelayGreeting(network: network)
    #expect(greeting.bytes.first == protocolVersion)
    #expect(try RelayGreeting(parsing: greeting.bytes) == greeting)
  }

  @Test func `an older relay's greeting is the version alone`() throws {
    let greeting = try RelayGreeting(parsing: [protocolVersion])
    #expect(greeting.version == protocolVersion && greeting.network == nil && greeting.bytes == [protocolVersion])
  }

  @Test func `what follows another version is not looked at`() throws {
    #expect(try RelayGreeting(parsing: [9, 0xFF, 0xFF]) == RelayGreeting(version: 9, network: nil))
  }

  @Test func `a message of another type in its place is ignored, and what is none is an error`() throws {
    #expect(try RelayGreeting(parsing: [protocolVersion] + Array(#"{"type":"future"}"#.utf8)).network == nil)
    for bad in ["", "x", "{}", #"{"type":"network","pool":"10.0.0.1/24"}"#] {
      let bytes = (bad.isEmpty ? [] : [protocolVersion]) + Array(bad.utf8)
      #expect(throws: WireError.self) { try RelayGreeting(parsing: bytes) }
    }
  }
}
