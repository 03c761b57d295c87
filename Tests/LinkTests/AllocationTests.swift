import CTestSupport
import Link
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

/// The data path makes nothing per frame. Only optimised code keeps this promise.
@Suite(.enabled(if: !isDebugBuild && ctest_counts_allocations())) struct AllocationTests {
  /// Sends runs of frames and takes them in at the other end; the number of allocations meanwhile.
  private func allocations(rounds: Int, queueLimit: Int, readEvery: Int, drains: Bool) throws -> UInt {
    let pair = try SocketPair()
    let loop = try EventLoop()
    let sender = FrameConnection(pair.first, loop: loop, queueLimit: queueLimit)
    let receiver = FrameConnection(pair.second, loop: loop, queueLimit: queueLimit)
    let memory = ReceiveMemory()
    let frames = (0..<10).flatMap { numberedFrame(sender: $0, number: $0, length: 1400 * ($0 % 3 + 1)) }
    var received = 0
    func work(_ rounds: Int) throws {
      for round in 0..<rounds {
        frames.withUnsafeBytes { sender.send(FrameRun($0, frames: 10)) }
        guard round % readEvery == 0 else { continue }
        var before = -1
        while before != received {
          before = received
          try receiver.receive(
            using: memory, deliver: { _, header in received += header.length > 0 ? 1 : 0 }, finish: {})
          if drains { sender.flush() }
        }
      }
    }
    try work(200)
    let before = ctest_allocations()
    try work(rounds)
    let count = ctest_allocations() - before
    #expect(received > rounds)
    return count
  }

  @Test func `ten thousand frames from one end to the other allocate nothing`() throws {
    let count = try allocations(rounds: 1000, queueLimit: 1 << 20, readEvery: 1, drains: true)
    #expect(count == 0)
  }

  @Test func `frames that wait, are dropped and are sent later allocate nothing`() throws {
    let count = try allocations(rounds: 1000, queueLimit: 256 << 10, readEvery: 20, drains: true)
    #expect(count == 0)
  }

  @Test func `the count counts`() {
    let before = ctest_allocations()
    let memory = RawBuffer(count: 100)
    memory.bytes[0] = 1
    #expect(ctest_allocations() > before)
  }
}

private let isDebugBuild = _isDebugAssertConfiguration()
