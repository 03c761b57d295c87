import Admission
import Link
import Relay
import SystemIO
import TestSupport
import Testing
import Wire

/// Other settings for a relay that runs.
@Suite(.serialized) struct ChangesTests {
  private func changes(
    admission: AdmissionMode = .open, keepalive: Duration = .seconds(60), queueLimit: Int = 4 << 20
  ) -> RelaySettings.Reloadable {
    var changed = RelaySettings.Reloadable()
    changed.admission = admission
    (changed.keepalive, changed.idleKeepalive) = (keepalive, keepalive)
    changed.queueLimit = queueLimit
    return changed
  }

  @Test func `devices are told of another keepalive, and asked for signs of life by it`() throws {
    let relay = try TestRelay(keepalive: .seconds(60))
    defer { relay.stop() }
    let (client, address) = try relay.join("one")
    relay.relay.apply(changes(keepalive: .milliseconds(400)))
    let welcome = try client.receive { message -> Welcome? in
      if case .welcome(let welcome) = message { welcome } else { nil }
    }
    #expect(welcome.address == address && welcome.keepalive == 400)
    #expect(welcome.pool == IPv4Prefix("10.0.0.0/24"))
    _ = try client.receive(.ping)
    #expect(relay.relay.settings.reloadable.keepalive == .milliseconds(400))
  }

  @Test func `another admission mode counts for who comes next, and nobody is sent away`() throws {
    let relay = try TestRelay(keepalive: .seconds(60))
    defer { relay.stop() }
    let (one, first) = try relay.join("one")
    relay.relay.apply(changes(admission: .invite))
    #expect(relay.relay.settings.reloadable.admission == .invite)
    do {
      _ = try relay.join("two")
      Issue.record("a stranger was let in")
    } catch let refusal as Refusal {
      #expect(refusal.code == .inviteNeeded)
    }
    try one.send(frameBytes(.data, [1], address: first))
    #expect(try one.receive(.data).payload == [1])
    relay.relay.apply(changes(admission: .open))
    _ = try relay.join("two")
  }

  @Test func `another queue limit counts for sessions that are there already`() throws {
    let relay = try TestRelay(keepalive: .seconds(60))
    defer { relay.stop() }
    let (sender, _) = try relay.join("sender")
    let (slow, address) = try relay.join("slow")
    relay.relay.apply(changes(queueLimit: 256 << 10))
    // The loops have taken it over once they have answered.
    #expect(relay.status() != nil)
    for number in 0..<120 {
      let payload = [UInt8](repeating: 0, count: 30_000)
      try sender.send(frameBytes(.data, payload, address: address, flow: UInt16(number)))
    }
    #expect(wait { relay.status()?.sessions.first { $0.deviceID == "slow" }?.queue.overflowDrops ?? 0 > 0 })
    _ = slow
  }
}
