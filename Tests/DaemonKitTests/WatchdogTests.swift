import Testing

@testable import DaemonKit

@Suite struct WatchdogTests {
  @Test func `a thread is stuck once no beat has come for as many turns as there is patience for`() {
    var turns = Watchdog.Turns()
    func isStuck(_ beats: [Int]) -> [Bool] { beats.map { turns.next(beats: $0) } }
    #expect(!isStuck((1...20).map { $0 / 2 }).contains(true))
    #expect(!isStuck(Array(repeating: 10, count: Watchdog.patience - 2)).contains(true))
    // A late beat begins the count anew.
    #expect(!isStuck(Array(repeating: 11, count: Watchdog.patience)).contains(true))
    #expect(isStuck([11]) == [true])
  }
}
