import SystemIO
import SystemPackage
import TestSupport
import Testing

/// Who has more to do than may be done at once stands in line.
@Suite struct LoopTurnsTests {
  /// Asks for turns, so many in all.
  private final class Worker: EventHandler {
    let loop: EventLoop
    var left: Int
    var onTurn: (Events) -> Void

    init(_ loop: EventLoop, turns: Int, onTurn: @escaping (Events) -> Void) {
      self.loop = loop
      left = turns
      self.onTurn = onTurn
      loop.standInLine(self)
    }

    func handle(_ events: Events) {
      left -= 1
      if left > 0 { loop.standInLine(self) }
      onTurn(events)
    }
  }

  /// Told of what its descriptor is ready for.
  private final class Watcher: EventHandler {
    var body: (Events) -> Void = { _ in }

    func handle(_ events: Events) { body(events) }
  }

  /// Runs `loop` on this thread until `stop` is called, or for a generous wait.
  private func run(_ loop: EventLoop) {
    loop.schedule(after: generousWait) { loop.stop() }
    loop.run()
  }

  @Test func `those in line take turns, and nobody waits for an event`() throws {
    let loop = try EventLoop()
    var turns: [Int] = []
    let workers = (0..<3).map { number in
      Worker(loop, turns: 100) { events in
        #expect(events.isEmpty)
        turns.append(number)
        if turns.count == 300 { loop.stop() }
      }
    }
    run(loop)
    #expect(turns == (0..<300).map { $0 % 3 } && workers.allSatisfy { $0.left == 0 })
  }

  @Test func `events and timers come between the turns of those in line, however many there are`() throws {
    let loop = try EventLoop()
    let pair = try SocketPair()
    var turns = 0
    // Each takes longer than all of them may before the loop looks for events.
    let workers = (0..<10).map { _ in
      Worker(loop, turns: 1000) { _ in
        turns += 1
        _ = wait(atMost: .milliseconds(2)) { false }
      }
    }
    let watcher = Watcher()
    var turnsBefore: Int?
    watcher.body = { _ in
      turnsBefore = turns
      loop.schedule(after: .zero) { loop.stop() }
    }
    let registration = try loop.register(pair.second, for: .readable, handler: watcher)
    _ = try [UInt8](repeating: 1, count: 1).withUnsafeBytes { try pair.first.send($0) }
    run(loop)
    loop.deregister(pair.second, registration)
    #expect(turnsBefore != nil && turns <= 3, "\(turns) turns")
    #expect(workers.count == 10)
  }
}
