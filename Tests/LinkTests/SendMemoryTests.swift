import Link
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

/// The memory that all send queues share.
@Suite struct SendMemoryTests {
  private static let frame = 60_000

  /// Connections whose other ends do not read, and those ends.
  private struct Crowd {
    let memory: SendMemory
    let connections: [FrameConnection]
    let ends: [RawEnd]

    init(_ count: Int, limit: Int) throws {
      memory = SendMemory(limit: limit)
      let loop = try EventLoop()
      var connections: [FrameConnection] = []
      var ends: [RawEnd] = []
      for _ in 0..<count {
        let pair = try SocketPair()
        connections.append(FrameConnection(pair.first, loop: loop, queueLimit: 4 << 20, memory: memory))
        ends.append(RawEnd(pair.second))
      }
      self.connections = connections
      self.ends = ends
    }

    func send(to index: Int, frames: Int) {
      for number in 0..<frames {
        numberedFrame(sender: index, number: number, length: SendMemoryTests.frame).withUnsafeBytes {
          connections[index].send(FrameRun($0, frames: 1))
        }
      }
    }

    func waiting(_ index: Int) -> Int { connections[index].sendStatistics.queue.bytes }

    func drops(_ index: Int) -> Int { connections[index].sendStatistics.queue.overflowDrops }

    /// What comes out at the other end once it reads.
    func drain(_ index: Int) throws -> [ReceivedFrame] {
      var bytes: [UInt8] = []
      while true {
        let part = try ends[index].read()
        bytes += part
        connections[index].flush()
        if part.isEmpty, waiting(index) == 0 { return try parseFrames(bytes) }
      }
    }
  }

  @Test func `nothing is taken while nothing waits, and all is given back`() throws {
    let crowd = try Crowd(3, limit: 64 << 20)
    crowd.send(to: 0, frames: 1)
    #expect(crowd.memory.used == 0)
    crowd.send(to: 1, frames: 40)
    #expect(crowd.memory.used >= crowd.waiting(1))
    #expect(try crowd.drain(1).areIntact)
    crowd.connections[1].trim()
    #expect(crowd.memory.used == 0)
    crowd.send(to: 2, frames: 40)
    crowd.connections[2].close()
    #expect(crowd.memory.used == 0)
    #expect(crowd.memory.refusals == 0)
  }

  @Test func `many that do not read share what there is, and what they do not get is dropped and counted`() throws {
    let limit = 16 << 20
    let crowd = try Crowd(64, limit: limit)
    for _ in 0..<80 {
      for index in 0..<64 { crowd.send(to: index, frames: 1) }
    }
    // Beyond the limit there are only the rests of frames whose beginnings are in the kernel.
    #expect(crowd.memory.used <= limit + 64 * FrameHeader.maximumFrame)
    #expect(crowd.memory.refusals > 0)
    for index in 0..<64 {
      #expect(crowd.drops(index) > 0)
      // Everybody got about as much as the others: the 64th part is 256 KiB.
      #expect((60_000...1 << 20).contains(crowd.waiting(index)))
    }
    // What waits is as it was.
    for index in [0, 31, 63] {
      #expect(try crowd.drain(index).areIntact)
    }
  }

  @Test func `one that reads gets through beside a crowd that has taken all`() throws {
    let crowd = try Crowd(65, limit: 16 << 20)
    for index in 0..<64 { crowd.send(to: index, frames: 80) }
    crowd.send(to: 64, frames: 1)
    #expect(try crowd.drain(64).count == 1)
  }

  @Test func `control frames come through where there is no memory for data, but not without end`() throws {
    let crowd = try Crowd(2, limit: 1)
    crowd.send(to: 0, frames: 10)
    #expect(crowd.memory.refusals > 0)
    let control = frameBytes(.control, [UInt8](repeating: 7, count: 1000))
    for _ in 0..<10 { crowd.connections[0].send(control: control) }
    let frames = try crowd.drain(0)
    #expect(frames.count { $0.header.type == .control } == 10)
    for _ in 0..<2000 { crowd.connections[1].send(control: control) }
    // It is cut off, and what has been taken is bounded.
    #expect(crowd.memory.used < 1 << 20)
    while try !crowd.ends[1].read().isEmpty {}
    #expect(throws: Errno.self) { try crowd.ends[1].send([1]) }
  }
}
