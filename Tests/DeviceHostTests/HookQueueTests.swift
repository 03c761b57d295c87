import Control
import Testing

@testable import DeviceHost

@Suite struct HookQueueTests {
  private func event(_ event: PeerEventReport.Event, _ number: Int, revision: Int? = nil) -> PeerEventReport {
    var peer = PeersReport.Peer(address: "10.0.\(number / 256).\(number % 256)", deviceId: "d\(number)", state: .online)
    peer.revision = revision
    return PeerEventReport(event, time: 1, peer: peer)
  }

  private func queue(_ events: [PeerEventReport]) -> [String] {
    var queue = HookQueue()
    for event in events { queue.add(event) }
    var told: [String] = []
    while let event = queue.next() {
      told.append("\(event.event) \(event.peer?.deviceId ?? "") \(event.peer?.revision ?? 0)")
    }
    return told
  }

  @Test func `events are told in order`() {
    let told = queue([event(.joined, 1), event(.joined, 2), event(.left, 3), event(.changed, 4, revision: 7)])
    #expect(told == ["joined d1 0", "joined d2 0", "left d3 0", "changed d4 7"])
  }

  @Test func `who has come and gone is not told of`() {
    #expect(queue([event(.joined, 1), event(.changed, 1, revision: 2), event(.left, 1)]).isEmpty)
    #expect(queue([event(.left, 1), event(.joined, 1), event(.left, 1)]) == ["left d1 0"])
    #expect(queue([event(.changed, 1, revision: 2), event(.left, 1)]) == ["left d1 0"])
  }

  @Test func `only the newest information is told`() {
    #expect(queue([event(.joined, 1), event(.changed, 1, revision: 2)]) == ["joined d1 2"])
    #expect(queue([event(.changed, 1, revision: 2), event(.changed, 1, revision: 3)]) == ["changed d1 3"])
  }

  @Test func `no more than so many wait, and the oldest are left out`() {
    var queue = HookQueue()
    for number in 0..<300 { queue.add(event(.joined, number)) }
    #expect(queue.events.count == 256 && queue.dropped == 44)
    #expect(queue.next()?.peer?.deviceId == "d44")
  }
}
