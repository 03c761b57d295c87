import Relay
import SystemIO
import TestSupport
import Testing
import Wire

/// What a device hears of others who come and go, and in how many frames.
@Suite(.serialized) struct NewsTests {
  @Test func `of many who join and leave at once, a device hears in few frames, each change once`() throws {
    let relay = try TestRelay(pool: "10.0.0.0/20")
    defer { relay.stop() }
    let (witness, own) = try relay.join("witness")
    let count = 300
    let start = Instant.now()
    let crowd = try Crowd(of: count, relay: relay.address)
    var frames = 0
    var joins = 0
    var peers: Set<IPv4Address> = []
    func follow(until isOver: () -> Bool) throws {
      while !isOver() {
        let update = try witness.receive { message -> PeerUpdate? in
          if case .peers(let update) = message { update } else { nil }
        }
        frames += 1
        if update.since == nil { peers = [] }
        peers.subtract(update.left)
        let joined = update.joined.map(\.address).filter { $0 != own }
        joins += joined.count
        peers.formUnion(joined)
      }
    }
    try follow { peers.count == count }
    // The relay says at most every 50 ms what has changed; besides that, there is what it tells whoever joins.
    #expect(frames <= 3 + Int(Instant.now().since(start).seconds / 0.05), "\(frames) frames")
    #expect(joins <= count + 1)
    frames = 0
    let end = Instant.now()
    crowd.stop()
    try follow { peers.isEmpty }
    #expect(frames <= 3 + Int(Instant.now().since(end).seconds / 0.05), "\(frames) frames")
    // Nobody waited for signs of life that do not come, which would take 60 seconds here.
    #expect(Instant.now().since(end) < .seconds(30))
  }
}
