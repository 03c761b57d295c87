import TestSupport
import Testing

@testable import Relay

@Suite struct LoopChoiceTests {
  private static func loads(after count: Int, loops: Int, few: Int) -> [Int] {
    let choice = LoopChoice(few: few)
    return (0..<count).reduce(into: [Int](repeating: 0, count: loops)) { loads, _ in
      loads[choice.place(among: loads)] += 1
    }
  }

  @Test func `few connections share a loop, and many are spread evenly`() {
    #expect(Self.loads(after: 8, loops: 4, few: 8) == [8, 0, 0, 0])
    #expect(Self.loads(after: 14, loops: 4, few: 8) == [8, 2, 2, 2])
    #expect(Self.loads(after: 100, loops: 4, few: 8) == [25, 25, 25, 25])
    #expect(Self.loads(after: 5, loops: 2, few: 0) == [3, 2])
    #expect(Self.loads(after: 5, loops: 1, few: 8) == [5])
  }

  @Test func `whoever comes takes the place of whoever has gone`() {
    let choice = LoopChoice(few: 2)
    #expect(choice.place(among: [1, 7]) == 0)
    #expect(choice.place(among: [5, 4, 4]) == 1)
  }

  @Test func `a relay counts the connections of each loop as they come and go`() throws {
    let relay = try TestRelay(threads: 2)
    defer { relay.stop() }
    #expect(relay.relay.loops.map(\.load) == [0, 0])
    var clients = try (0..<4).map { try relay.join("device-\($0)").client }
    #expect(relay.relay.loops.map(\.load) == [2, 2])
    clients.removeAll()
    #expect(wait { relay.relay.loops.map(\.load) == [0, 0] })
  }
}
