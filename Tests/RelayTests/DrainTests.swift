import Glibc
import Link
import Relay
import SystemIO
import TestSupport
import Testing
import Wire

@Suite(.serialized) struct DrainTests {
  /// Begins a drain and gives what will come of it.
  private func drain(_ relay: TestRelay, within limit: Duration = generousWait) -> Mailbox<DrainOutcome> {
    let outcomes = Mailbox<DrainOutcome>()
    relay.relay.drain(within: limit) { outcomes.put($0) }
    return outcomes
  }

  private func isDrain(_ message: ControlMessage) -> Bool? { message == .drain ? true : nil }

  private func refusal(_ message: ControlMessage) -> Refusal? {
    if case .refused(let refusal) = message { refusal } else { nil }
  }

  @Test func `what waits for a slow device is delivered before the relay ends`() throws {
    let relay = try TestRelay()
    let (sender, _) = try relay.join("sender")
    let (slow, address) = try relay.join("slow")
    // Each is a flow of its own, so that none is dropped for having waited behind another.
    let count = 120
    for number in 0..<count {
      let payload = [UInt8](repeating: UInt8(number), count: 30_000)
      try sender.send(frameBytes(.data, payload, address: address, flow: UInt16(number)))
    }
    #expect(wait { relay.status()?.sessions.first { $0.deviceID == "slow" }?.queue.bytes ?? 0 > 1 << 20 })
    let outcomes = drain(relay)
    #expect(try sender.receive(isDrain))
    try sender.send(.drain)
    #expect(relay.status()?.isDraining == true)
    var numbers: Set<UInt8> = []
    var isTold = false
    while numbers.count < count {
      let frame = try slow.receive()
      if frame.header.type == .control, try frame.message() == .drain {
        isTold = true
        #expect(outcomes.items.isEmpty)
        try slow.send(.drain)
      }
      if frame.header.type == .data { numbers.insert(frame.payload[0]) }
    }
    #expect(isTold)
    let outcome = try #require(outcomes.waitFor(1).first)
    #expect(outcome.sessions == 2 && outcome.cutOff == 0)
    relay.stop()
    for client in [sender, slow] {
      let last = try client.receive(refusal)
      #expect(last.code == .shuttingDown && last.retryAfter != nil)
    }
  }

  @Test func `all that a device sent before its answer is forwarded`() throws {
    for _ in 0..<20 {
      let relay = try TestRelay()
      let (sender, _) = try relay.join("sender")
      let (receiver, address) = try relay.join("receiver")
      let outcomes = drain(relay)
      #expect(try receiver.receive(isDrain))
      try receiver.send(.drain)
      #expect(try sender.receive(isDrain))
      var stream: [UInt8] = []
      for number in 0..<100 { stream += frameBytes(.data, [UInt8(number)], address: address) }
      try sender.send(stream + sender.sealed(ControlMessage.drain.frame()))
      #expect(outcomes.waitFor(1).first?.cutOff == 0)
      relay.stop()
      for number in 0..<100 { #expect(try receiver.receive(.data).payload == [UInt8(number)]) }
    }
  }

  @Test func `a device that does not finish is cut off when the time is over`() throws {
    let relay = try TestRelay()
    let (good, _) = try relay.join("good")
    let (bad, _) = try relay.join("bad")
    let outcomes = drain(relay, within: .milliseconds(300))
    #expect(try good.receive(isDrain))
    try good.send(.drain)
    let outcome = try #require(outcomes.waitFor(1).first)
    #expect(outcome.sessions == 2 && outcome.cutOff == 1 && outcome.duration >= .milliseconds(300))
    relay.stop()
    #expect(try bad.receive(refusal).code == .shuttingDown)
  }

  @Test func `a device that leaves meanwhile is not waited for`() throws {
    let relay = try TestRelay()
    let (client, _) = try relay.join("one")
    let outcomes = drain(relay)
    try client.send(.leave)
    #expect(outcomes.waitFor(1).first?.cutOff == 0)
    relay.stop()
  }

  @Test func `nobody is let in meanwhile, and who has not joined is sent away`() throws {
    let relay = try TestRelay()
    let (client, _) = try relay.join("one")
    let stranger = try RawFrameClient(connectingTo: relay.address)
    #expect(wait { relay.status()?.joining == 1 })
    let outcomes = drain(relay)
    #expect(try stranger.receive(refusal).code == .shuttingDown)
    #expect(stranger.waitForEnd())
    #expect(try client.receive(isDrain))
    #expect(throws: (any Error).self) { try RawFrameClient(connectingTo: relay.address) }
    try client.send(.drain)
    #expect(outcomes.waitFor(1).first?.sessions == 1)
    relay.stop()
  }

  @Test func `a device that waits for an operator is sent away too`() throws {
    let relay = try TestRelay(admission: .approve)
    let client = try relay.ask("one")
    #expect(try client.receive(.control).message() == .pending)
    #expect(drain(relay).waitFor(1).first?.sessions == 0)
    #expect(try client.receive(refusal).code == .shuttingDown)
    relay.stop()
  }

  @Test func `who asks while a drain goes on, or after it, gets the same answer`() throws {
    let relay = try TestRelay()
    let (client, _) = try relay.join("one")
    let first = drain(relay)
    let second = drain(relay, within: .milliseconds(1))
    #expect(try client.receive(isDrain))
    usleep(100_000)
    #expect(first.items.isEmpty && second.items.isEmpty)
    try client.send(.drain)
    let outcome = try #require(first.waitFor(1).first)
    #expect(second.waitFor(1) == [outcome])
    #expect(drain(relay).waitFor(1) == [outcome])
    relay.stop()
  }

  @Test func `a device that speaks of a drain without being asked is closed`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let (client, _) = try relay.join("one")
    try client.send(.drain)
    #expect(try client.receive(refusal).code == .protocolError)
  }
}
