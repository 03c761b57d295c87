import SystemIO
import TestSupport
import Testing
import Wire

// The seam by which calls are counted is in debug builds alone.
#if SYSTEM_CALL_FAULTS
  /// What it costs a relay, in system calls, to pass frames on.
  @Suite(.serialized) struct SystemCallTests {
    /// The relay's calls for each of `frames` frames that one device sends another, so many `together`. The fewest of
    /// several rounds: on a busy machine bytes may come in small pieces, but what every frame costs it costs in each
    /// round.
    private func callsPerFrame(payload: Int, together: Int, frames: Int) throws -> SystemCallCost {
      let counts = SystemCallCounts()
      let relay = try counts.run { try TestRelay() }
      defer { relay.stop() }
      let (one, _) = try relay.join("one")
      let (two, second) = try relay.join("two")
      let bytes = [UInt8](repeating: 7, count: payload)
      let frame = frameBytes(.data, bytes, address: second, flow: 1)
      let run = [[UInt8]](repeating: frame, count: together).flatMap { $0 }
      var best: SystemCallCost?
      for _ in 0..<10 {
        let before = counts.now
        for _ in 0..<frames / together {
          try one.send(run)
          for _ in 0..<together { #expect(try two.receive(.data).payload.count == payload) }
        }
        let cost = SystemCallCost(counts.now - before, frames: frames)
        if cost.total < best?.total ?? .infinity { best = cost }
      }
      return try #require(best)
    }

    @Test func `a stream of super-packets costs few calls a frame`() throws {
      let cost = try callsPerFrame(payload: 65_000, together: 16, frames: 160)
      #expect(cost.total < 2.5, "\(cost)")
      #expect(cost.of(.send) <= 1.5, "\(cost)")
    }

    @Test func `small frames that come together go together`() throws {
      let cost = try callsPerFrame(payload: 200, together: 500, frames: 5000)
      #expect(cost.total < 0.1, "\(cost)")
    }

    @Test func `small frames for several devices in turn go together, and each device gets its own in order`() throws {
      let counts = SystemCallCounts()
      let relay = try counts.run { try TestRelay() }
      defer { relay.stop() }
      let (sender, _) = try relay.join("sender")
      // More destinations than the relay gathers for at once.
      let receivers = try (0..<10).map { try relay.join("receiver-\($0)") }
      for count in [2, 10] {
        var fewest = Int.max
        for _ in 0..<10 {
          var run: [UInt8] = []
          for number in 0..<100 {
            for (_, address) in receivers[..<count] {
              // Now and then a longer one, which must not overtake the others.
              let payload = [UInt8](repeating: UInt8(number), count: number % 25 == 24 ? 2000 : 50)
              run += frameBytes(.data, payload, address: address, flow: 1)
            }
          }
          let before = counts.now
          try sender.send(run)
          for (receiver, _) in receivers[..<count] {
            for number in 0..<100 { #expect(try receiver.receive(.data).payload.first == UInt8(number)) }
          }
          fewest = min(fewest, (counts.now - before)[.send])
        }
        // The four longer frames of each device cost calls of their own, as does what precedes each of them.
        if count == 2 { #expect(fewest <= 60, "\(fewest)") }
      }
    }

    @Test func `a lone frame costs a wait, a read and a send, and no more`() throws {
      let cost = try callsPerFrame(payload: 200, together: 1, frames: 200)
      #expect(cost.of(.wait) + cost.of(.read) + cost.of(.send) < 3.1, "\(cost)")
      #expect(cost.total < 3.6, "\(cost)")
    }

    @Test func `a relay whose devices are silent makes no calls but its timers'`() throws {
      let counts = SystemCallCounts()
      let relay = try counts.run { try TestRelay(threads: 2) }
      defer { relay.stop() }
      let devices = try (0..<10).map { try relay.join("device-\($0)") }
      #expect(devices.count == 10)
      // What they are told of each other has been sent by then.
      var before = counts.now
      #expect(
        wait { () -> Bool in
          _ = wait(atMost: .milliseconds(300)) { false }
          defer { before = counts.now }
          return counts.now[.send] == before[.send]
        })
      before = counts.now
      _ = wait(atMost: .seconds(3)) { false }
      let calls = counts.now - before
      // Each loop looks once a second after its sessions.
      #expect(calls[.wait] <= 2 * 6 && calls.total == calls[.wait], "\(calls)")
    }
  }

  /// Calls for each of so many frames.
  private struct SystemCallCost: CustomStringConvertible {
    private let tally: SystemCallCounts.Tally
    private let frames: Int

    init(_ tally: SystemCallCounts.Tally, frames: Int) {
      self.tally = tally
      self.frames = frames
    }

    var total: Double { Double(tally.total) / Double(frames) }

    func of(_ call: SystemCall) -> Double { Double(tally[call]) / Double(frames) }

    var description: String {
      SystemCall.allCases.map { "\($0) \(of($0))" }.joined(separator: ", ")
    }
  }
#endif
