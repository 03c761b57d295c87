import Link
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

/// Two connected endpoints, each on a loop and a thread of its own.
private final class Endpoints {
  private let threads: [LoopThread]
  let first: FrameEndpoint
  let second: FrameEndpoint

  init(queueLimit: Int = 8 << 20) throws {
    threads = [try LoopThread(), try LoopThread()]
    let pair = try SocketPair()
    first = FrameEndpoint(pair.first, on: threads[0], queueLimit: queueLimit)
    second = FrameEndpoint(pair.second, on: threads[1], queueLimit: queueLimit)
  }

  deinit {
    let endpoints = [first, second]
    for (thread, endpoint) in zip(threads, endpoints) {
      thread.run { endpoint.connection.close() }
      thread.stop()
    }
  }

  /// Runs `body` on the first one's loop.
  func onFirst(_ body: @escaping @Sendable (FrameConnection) -> Void) {
    threads[0].run { [first] in body(first.connection) }
  }

  /// Waits until everything that was sent has come or is counted as dropped.
  func settle(sent: Int) -> [ReceivedFrame] {
    _ = wait {
      let queue = first.connection.sendStatistics.queue
      return second.frames.items.count + queue.lateDrops + queue.overflowDrops >= sent
    }
    return second.frames.items
  }
}

@Suite struct ConnectionThreadTests {
  @Test func `frames of every size arrive intact from loop to loop`() throws {
    let endpoints = try Endpoints(queueLimit: 64 << 20)
    var random = FixedRandom(seed: 31)
    var lengths = [4, 5, 128 << 10, 1400, 64 << 10]
    lengths += (0..<300).map { _ in Int.random(in: 4...20_000, using: &random) }
    for (number, length) in lengths.enumerated() {
      endpoints.onFirst { connection in
        connection.send(frames: numberedFrame(sender: 1, number: number, length: length), count: 1)
      }
    }
    let frames = endpoints.settle(sent: lengths.count)
    let queue = endpoints.first.connection.sendStatistics.queue
    #expect(frames.count + queue.lateDrops + queue.overflowDrops == lengths.count)
    #expect(frames.allSatisfy { $0.isIntact && $0.payload.count == lengths[$0.number] })
    #expect(frames.map(\.number) == frames.map(\.number).sorted())
  }

  @Test func `control frames larger than the socket's buffer all arrive`() throws {
    let endpoints = try Endpoints()
    for number in 0..<20 {
      endpoints.first.connection.send(
        control: frameBytes(.control, [UInt8](repeating: UInt8(number), count: 100_000 + number)))
    }
    let frames = endpoints.second.frames.waitFor(20)
    #expect(frames.map(\.payload.count) == (0..<20).map { 100_000 + $0 })
    #expect(frames.enumerated().allSatisfy { number, frame in frame.payload.allSatisfy { $0 == UInt8(number) } })
  }

  @Test func `frames that several threads send at once do not mix`() throws {
    let endpoints = try Endpoints(queueLimit: 64 << 20)
    let connection = endpoints.first.connection
    let threads = (1...4).map { sender in
      SystemThread.start(name: "sender") {
        var random = FixedRandom(seed: UInt64(sender))
        var number = 0
        while number < 1000 {
          let count = min(1000 - number, Int.random(in: 1...6, using: &random))
          let run = (number..<number + count).flatMap {
            numberedFrame(sender: sender, number: $0, length: Int.random(in: 4...6000, using: &random))
          }
          connection.send(frames: run, count: count)
          number += count
          if number % 50 < count { connection.send(control: frameBytes(.ping, [UInt8(sender)])) }
        }
      }
    }
    for thread in threads { thread.join() }
    let pings = 4 * 20
    let frames = endpoints.settle(sent: 4000 + pings)
    let queue = connection.sendStatistics.queue
    #expect(frames.count + queue.lateDrops + queue.overflowDrops == 4000 + pings)
    #expect(frames.filter { $0.header.type == .ping }.count == pings)
    let data = frames.filter { $0.header.type == .data }
    #expect(data.areIntact)
    for sender in 1...4 {
      let numbers = data.filter { $0.sender == sender }.map(\.number)
      #expect(numbers == numbers.sorted())
    }
    #expect(endpoints.second.end.items.isEmpty)
  }

  @Test func `a close amid the sends of other threads harms nobody`() throws {
    for _ in 0..<20 {
      let endpoints = try Endpoints(queueLimit: 256 << 10)
      let connection = endpoints.first.connection
      let threads = (1...3).map { sender in
        SystemThread.start(name: "sender") {
          for number in 0..<300 {
            connection.send(frames: numberedFrame(sender: sender, number: number, length: 4000), count: 1)
            if number % 10 == 0 { connection.send(control: frameBytes(.ping)) }
            if number % 17 == 0 { connection.trim() }
          }
        }
      }
      endpoints.onFirst { $0.close() }
      for thread in threads { thread.join() }
      #expect(endpoints.second.end.waitFor(1).count == 1)
      #expect(endpoints.second.frames.items.filter { $0.header.type == .data }.areIntact)
    }
  }

  @Test func `what was sent before the connection had a loop's attention goes out`() throws {
    let thread = try LoopThread()
    defer { thread.stop() }
    let pair = try SocketPair()
    let endpoint = FrameEndpoint(pair.first, on: thread, queueLimit: 64 << 20)
    let client = RawFrameClient(pair.second)
    for number in 0..<50 {
      endpoint.connection.send(control: frameBytes(.control, [UInt8](repeating: UInt8(number), count: 20_000)))
    }
    for number in 0..<50 { #expect(try client.receive().payload.first == UInt8(number)) }
    thread.run { endpoint.connection.close() }
  }

  @Test func `a bad frame ends the connection for both sides`() throws {
    let thread = try LoopThread()
    defer { thread.stop() }
    let pair = try SocketPair()
    let endpoint = FrameEndpoint(pair.first, on: thread)
    let client = RawFrameClient(pair.second)
    try client.send(frameBytes(.ping, [1]) + [200] + [UInt8](repeating: 0, count: 11))
    #expect(client.waitForEnd())
    #expect(endpoint.frames.waitFor(1).count == 1)
    guard case .wire(.unknownFrameType(200))? = endpoint.end.waitFor(1).first else {
      Issue.record("\(endpoint.end.items)")
      return
    }
  }

  @Test func `a closed connection and its handler are let go`() throws {
    let thread = try LoopThread()
    defer { thread.stop() }
    weak var endpoint: FrameEndpoint?
    weak var connection: FrameConnection?
    do {
      let pair = try SocketPair()
      let strong = FrameEndpoint(pair.first, on: thread)
      endpoint = strong
      connection = strong.connection
      thread.run { strong.connection.close() }
    }
    #expect(wait { endpoint == nil && connection == nil })
  }
}
