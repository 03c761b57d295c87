import Glibc
import Link
import SystemIO
import TestSupport
import Testing
import Wire

/// Ten times as much is sent to a destination as it takes.
@Suite(.serialized) struct OverloadTests {
  private static let flows = 10
  private static let queueLimit = 1 << 20

  /// What came of a while in which the other end read a certain number of bytes at a time.
  private struct Outcome {
    /// Bytes that it read; what it did not find is missing.
    var received = 0
    var wanted = 0
    var largestQueue = 0
    var largestMemory = 0
    var frames: [ReceivedFrame] = []
    var sent = 0
    var queue = SendQueueStatistics()

    var share: Double { Double(received) / Double(wanted) }
  }

  /// In each of many steps, `excess` times as much is sent, in frames of so many bytes, as the other end then reads.
  private func run(excess: Int, length: Int) throws -> Outcome {
    let memory = SendMemory(limit: 2 << 20)
    let pair = try SocketPair()
    let connection = FrameConnection(
      pair.first, loop: try EventLoop(), queueLimit: Self.queueLimit, memory: memory)
    let end = RawEnd(pair.second)
    let step = 64 << 10
    var bytes: [UInt8] = []
    var outcome = Outcome()
    var number = 0
    var offered = 0
    func read() throws -> Int {
      var count = 0
      while count < step {
        let part = try end.read(atMost: step - count)
        if part.isEmpty { break }
        bytes += part
        count += part.count
        connection.flush()
      }
      return count
    }
    for round in 0..<500 {
      // What fills the socket at first is not the other end's to read.
      while offered < (round + 1) * step * excess + (512 << 10) {
        let frame = numberedFrame(sender: number % Self.flows, number: number / Self.flows, length: length)
        connection.send(frames: frame, count: 1)
        number += 1
        offered += frame.count
        outcome.largestQueue = max(outcome.largestQueue, connection.sendStatistics.queue.bytes)
        outcome.largestMemory = max(outcome.largestMemory, memory.used)
      }
      outcome.wanted += step
      outcome.received += try read()
      // Frames grow old, so that some may be dropped for that.
      usleep(2000)
    }
    outcome.sent = number
    while try read() > 0 || !connection.hasSentAll { connection.flush() }
    outcome.queue = connection.sendStatistics.queue
    outcome.frames = try parseFrames(bytes)
    return outcome
  }

  @Test(arguments: [1400, 60_000])
  func `a destination gets what it can take under ten times as much, and its queue has bounds`(_ length: Int) throws {
    let peak = try run(excess: 1, length: length)
    let overload = try run(excess: 10, length: length)
    #expect(peak.share > 0.9)
    #expect(overload.share >= 0.8 * peak.share)
    for outcome in [peak, overload] {
      #expect(outcome.largestQueue <= Self.queueLimit + 2 * FrameHeader.maximumFrame)
      #expect(outcome.largestMemory <= 2 << 20)
      let drops = outcome.queue.lateDrops + outcome.queue.overflowDrops
      #expect(outcome.frames.count + drops == outcome.sent)
      #expect(outcome.frames.areIntact)
    }
    #expect(overload.frames.count < overload.sent / 5, "the load was none")
    // Ten flows that want as much get about as much.
    var received = [Int](repeating: 0, count: Self.flows)
    for frame in overload.frames { received[frame.sender] += 1 }
    let fair = overload.frames.count / Self.flows
    #expect(received.allSatisfy { $0 > fair / 2 && $0 < fair * 2 }, "\(received)")
  }
}
