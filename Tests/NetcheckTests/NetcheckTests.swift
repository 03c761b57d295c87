import CommandLine
import Config
import Control
import Identity
import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Netcheck

@Suite struct NetcheckTests {
  private func check(
    _ address: SocketAddress, keys: [[UInt8]] = [], directory: String = "/nonexistent",
    within limit: Duration = generousWait
  ) -> Control.ServerReport {
    let server = ServerAddress(host: address.host, port: address.port)
    return ServerCheck(server, RelayExpectation(pinned: keys, directory: directory), within: limit).run().report
  }

  private func result(_ report: Control.ServerReport, _ name: String) -> CheckReport.Result? {
    report.checks.first { $0.name == name }?.result
  }

  @Test func `a key that is not the pinned one fails, and one that is known by nothing warns`() throws {
    let (pinned, other) = (PrivateKey().publicKey, PrivateKey().publicKey)
    let expectation = RelayExpectation(pinned: [pinned.bytes], directory: "/nonexistent")
    #expect(expectation.judge(pinned, of: "relay:3334") == .pinned)
    #expect(expectation.judge(other, of: "relay:3334") == .notPinned([pinned]))
    #expect(expectation.hint(for: "relay:3334") == pinned.hint)
    let open = RelayExpectation(pinned: [], directory: "/nonexistent")
    #expect(open.judge(other, of: "relay:3334") == .stranger && open.hint(for: "relay:3334") == 0)
  }

  @Test func `a relay that was met before is held against what it was, and its directory is neither made nor changed`()
    throws
  {
    let parent = TemporaryDirectory()
    let directory = parent.file("state")
    #expect(RelayExpectation(pinned: [], directory: directory).hint(for: "relay:3334") == 0)
    #expect((try? FileAttributes(of: directory)) == nil)
    let (former, other) = (PrivateKey().publicKey, PrivateKey().publicKey)
    let state = try StateDirectory(directory)
    _ = try KnownRelays(in: state).add("relay:3334", former.bytes)
    let expectation = RelayExpectation(pinned: [], directory: directory)
    #expect(expectation.hint(for: "relay:3334") == former.hint && expectation.problem == nil)
    #expect(expectation.judge(former, of: "relay:3334") == .known)
    #expect(expectation.judge(other, of: "relay:3334") == .changed(former))
    #expect(expectation.judge(other, of: "another:3334") == .stranger)
    // What a pinned relay has announced counts in its place.
    try RelaySuccessors(in: state).add(former.bytes, other.bytes)
    #expect(RelayExpectation(pinned: [former.bytes], directory: directory).judge(other, of: "relay:3334") == .pinned)
  }

  @Test func `a port where nobody listens is refused, with what to do`() throws {
    let address: SocketAddress
    do {
      let listener = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
      address = listener.address
    }
    let report = check(address)
    #expect(!report.works && result(report, "connect") == .fail && result(report, "relay") == nil)
    #expect(report.checks.first { $0.name == "connect" }?.advice?.contains("mnedcd") == true)
  }

  @Test func `who takes connections and says nothing, or something else, is no relay`() throws {
    let listener = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
    let silent = check(listener.address, within: .milliseconds(300))
    #expect(!silent.works && result(silent, "connect") == .ok && result(silent, "relay") == .fail)
    let other = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
    let otherAddress = other.address
    let deadline = Instant.now().advanced(by: generousWait)
    let thread = SystemThread.start(name: "greeter") { [listening = Listening(other)] in
      guard (try? listening.listener.descriptor.wait(for: .readable, until: deadline)) == true,
        let socket = (try? listening.listener.accept()) ?? nil
      else { return }
      let line = Array("SSH-2.0-OpenSSH_9.2p1 Debian\r\n".utf8)
      _ = try? line.withUnsafeBytes { try socket.descriptor.send($0) }
      _ = try? socket.descriptor.wait(for: .readable, until: deadline)
    }
    let foreign = check(otherAddress)
    thread.join()
    #expect(result(foreign, "relay") == .fail)
    #expect(foreign.checks.first { $0.name == "relay" }?.finding.contains("no MNEDC relay") == true)
  }

  /// A listener on its way to another thread.
  private final class Listening: Sendable {
    let listener: TCPListener
    init(_ listener: consuming TCPListener) { self.listener = listener }
  }

  @Test func `a name that nobody has is said so`() throws {
    let server = ServerAddress(host: "relay.invalid", port: 3334)
    let report = ServerCheck(
      server, RelayExpectation(pinned: [], directory: "/nonexistent"), within: .seconds(3)
    ).run().report
    #expect(!report.works && report.checks.map(\.name) == ["name"] && report.checks[0].result == .fail)
  }

  @Test func `without a server, joining cannot work, and the status says that the configuration lacks it`() {
    let check = JoinCheck(
      Settings(), servers: [], keys: [], configuration: CheckReport("configuration", .ok, ""), within: .seconds(1))
    #expect(!check.report.works && check.report.checks.contains { $0.name == "server" && $0.result == .fail })
    #expect(check.status == .configuration)
    #expect(!check.report.notMeasured.isEmpty)
  }

  @Test func `a clear pool is ok, and one that this host has is a warning`() {
    var settings = Settings()
    settings.relay.pool = .prefix(IPv4Prefix(IPv4Address(bits: 0x7F00_0000), length: 8))
    let pool = HostCheck.checks(settings).first { $0.name == "pool" }
    #expect(pool?.result == .warn && pool?.finding.contains("127.0.0.0/8") == true)
    settings.relay.pool = .auto
    #expect(HostCheck.checks(settings).first { $0.name == "pool" }?.result == .skipped)
    // What the relay tells counts, not what is configured.
    let told = NetworkNotice(pool: IPv4Prefix(IPv4Address(bits: 0x7F00_0000), length: 8))
    let real = HostCheck.checks(settings, told).first { $0.name == "pool" }
    #expect(real?.result == .fail && real?.finding.contains("127.0.0.0/8") == true)
    settings.join.allowOverlap = true
    #expect(HostCheck.checks(settings, told).first { $0.name == "pool" }?.result == .ok)
  }
}
