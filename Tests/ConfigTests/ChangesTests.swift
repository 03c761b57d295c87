import Config
import Testing

@Suite struct ChangesTests {
  private func changes(_ old: String, _ new: String, _ role: Settings.Role) throws -> [String] {
    try load(old).changes(to: load(new), for: role).map { "\($0.key): \($0.old) -> \($0.new)" }
  }

  @Test func `each key that has another value is named with both`() throws {
    #expect(
      try changes(
        "relay: {queue: 1MiB, listen: [0.0.0.0:1, 0.0.0.0:2]}", "log-level: debug\nrelay: {pool: 10.0.0.0/16}", .relay)
        == [
          "log-level: info -> debug", "relay.listen: 0.0.0.0:1, 0.0.0.0:2 -> auto",
          "relay.pool: 10.0.0.0/24 -> 10.0.0.0/16", "relay.queue: 1MiB -> 4MiB",
        ])
    #expect(try changes("", "device-id: hub", .device) == ["device-id: none -> hub"])
    #expect(try changes("server: a", "server-ip: b\nport: 7", .device) == ["server: a:3334 -> b:7"])
  }

  @Test func `another way to write the same is no change`() throws {
    #expect(try changes("relay: {keepalive: 2s, queue: 4096KiB}", "relay: {keepalive: 2000ms}", .relay) == [])
  }

  @Test func `keys of the other daemon do not matter, but those of a relay's own device do`() throws {
    let file = "server: a\njoin: {mtu: 1300, cipher: aes-256-gcm}\nrelay: {mtu: 1300}"
    #expect(try changes("", file, .relay) == ["join.cipher: auto -> aes-256-gcm", "relay.mtu: 1400 -> 1300"])
    #expect(
      try changes("", file, .device) == [
        "server: none -> a:3334", "join.mtu: 1400 -> 1300", "join.cipher: auto -> aes-256-gcm",
      ])
  }

  @Test func `a long value is cut`() throws {
    let keys = (1...9).map { "shop-\($0): \(ValueTests.device.dropLast(2))\($0)A" }.joined(separator: ", ")
    let new = try #require(try load("").changes(to: load("join: {peer-keys: {\(keys)}}"), for: .device).first?.new)
    #expect(new.hasPrefix("shop-1: mnedc-device:") && new.hasSuffix("...") && new.count < 210)
  }

  @Test func `what is taken over is what can change, and the rest stays a change to come`() throws {
    let old = try load("relay: {pool: 10.1.0.0/24, threads: 1}")
    let new = try load(
      "log-level: error\nserver: a\nrelay: {pool: 10.1.0.0/16, threads: 2, queue: 1MiB, keepalive: 1s, admission: open,"
        + " mtu: 1300}"
    )
    let inForce = old.takingOver(new, for: .relay)
    #expect(
      old.changes(to: inForce, for: .relay).map(\.key) == [
        "log-level", "relay.pool", "relay.keepalive", "relay.queue", "relay.admission",
      ])
    #expect(inForce.changes(to: new, for: .relay).map(\.key) == ["relay.mtu", "relay.threads"])
    #expect(inForce.servers.isEmpty, "a relay takes nothing of a device's over")
    // The next reload says the same of what still waits, and nothing of what is done.
    #expect(inForce.takingOver(new, for: .relay) == inForce)
  }

  @Test func `a device takes servers, keys of peers and the log level over`() throws {
    let old = try load("server: a")
    let new = try load("server: [b, c]\nlog-level: debug\njoin: {mtu: 1300, peer-keys: {x: \(ValueTests.device)}}")
    let inForce = old.takingOver(new, for: .device)
    #expect(old.changes(to: inForce, for: .device).map(\.key) == ["server", "log-level", "join.peer-keys"])
    #expect(inForce.changes(to: new, for: .device).map(\.key) == ["join.mtu"])
  }
}
