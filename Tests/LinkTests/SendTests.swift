import Link
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct SendTests {
  private func connect(queueLimit: Int = 1 << 20) throws -> (connection: FrameConnection, end: RawEnd) {
    let pair = try SocketPair()
    return (FrameConnection(pair.first, loop: try EventLoop(), queueLimit: queueLimit), RawEnd(pair.second))
  }

  /// Sends until the socket takes no more and frames wait. Returns how many were sent.
  private func fill(_ connection: FrameConnection, length: Int = 1000, sender: Int = 1) -> Int {
    var count = 0
    while connection.sendStatistics.queue.bytes == 0 {
      connection.send(frames: numberedFrame(sender: sender, number: count, length: length), count: 1)
      count += 1
    }
    return count
  }

  /// Reads and flushes by turns until nothing moves any more.
  private func drain(_ connection: FrameConnection, _ end: RawEnd) throws -> [ReceivedFrame] {
    var bytes: [UInt8] = []
    while true {
      let read = try end.read()
      bytes += read
      if read.isEmpty, connection.sendStatistics.queue.bytes == 0 { break }
      connection.flush()
    }
    return try parseFrames(bytes)
  }

  @Test func `a run in one or two pieces is sent as it is`() throws {
    let (connection, end) = try connect()
    let first = frameBytes(.data, [1, 2, 3]) + frameBytes(.data, [])
    let second = frameBytes(.data, [4])
    first.withUnsafeBytes { first in
      second.withUnsafeBytes { second in
        var run = FrameRun(first, frames: 2)
        connection.send(run)
        _ = run.append(second)
        connection.send(run)
      }
    }
    #expect(try end.read() == first + first + second)
    #expect(connection.sendStatistics.traffic.frames == 5)
    #expect(connection.sendStatistics.traffic.bytes == 2 * first.count + second.count)
    #expect(connection.sendStatistics.queue.bytes == 0)
  }

  @Test func `a run takes neighbours and one gap`() {
    let memory = frameBytes(.data, [1]) + frameBytes(.data, [2]) + [0] + frameBytes(.data, [3]) + frameBytes(.data, [4])
    memory.withUnsafeBytes { memory in
      func frame(_ offset: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[offset..<offset + 13])
      }
      var run = FrameRun()
      #expect(run.isEmpty && run.count == 0)
      var taken = [0, 13].map { run.append(frame($0)) }
      #expect(run.first.count == 26 && run.second.count == 0)
      taken += [27, 40].map { run.append(frame($0)) }
      #expect(run.first.count == 26 && run.second.count == 26)
      // A third piece does not fit, and nothing is taken of it.
      taken.append(run.append(frame(0)))
      #expect(taken == [true, true, true, true, false])
      #expect(run.frames == 4 && run.count == 52 && !run.isEmpty)
    }
  }

  @Test func `what the socket does not take waits and arrives intact`() throws {
    let (connection, end) = try connect(queueLimit: 64 << 20)
    let sent = fill(connection, length: 3000)
    for number in sent..<sent + 100 {
      connection.send(frames: numberedFrame(sender: 1, number: number, length: 3000), count: 1)
    }
    let frames = try drain(connection, end)
    let drops = connection.sendStatistics.queue.lateDrops
    #expect(frames.count + drops == sent + 100)
    #expect(frames.areIntact)
    #expect(frames.map(\.number) == frames.map(\.number).sorted())
    #expect(connection.sendStatistics.traffic.frames == sent + 100)
  }

  @Test(arguments: [0, 1, 5, 11, 12, 13, 700, 1011, 1012, 1013, 2000])
  func `a run that is cut by a full socket anywhere goes on where it was cut`(room: Int) throws {
    let (connection, end) = try connect(queueLimit: 64 << 20)
    let pieces = (0..<2000).map { numberedFrame(sender: 2, number: $0, length: 1000 + ($0 + room) % 7) }
    // The cut falls elsewhere with each first frame's length.
    connection.send(frames: numberedFrame(sender: 1, number: 0, length: 4 + room), count: 1)
    let half = pieces.count / 2
    pieces[..<half].flatMap { $0 }.withUnsafeBytes { first in
      pieces[half...].flatMap { $0 }.withUnsafeBytes { second in
        connection.send(FrameRun(first, frames: half))
        connection.send(FrameRun(second, frames: pieces.count - half))
      }
    }
    let frames = try drain(connection, end)
    #expect(frames.count + connection.sendStatistics.queue.lateDrops == pieces.count + 1)
    #expect(frames.areIntact)
  }

  @Test func `two pieces of which the second is cut go on where they were cut`() throws {
    let (connection, end) = try connect(queueLimit: 64 << 20)
    let first = numberedFrame(sender: 1, number: 0, length: 500)
    let second = (1..<3000).flatMap { numberedFrame(sender: 1, number: $0, length: 600) }
    first.withUnsafeBytes { first in
      second.withUnsafeBytes { second in
        var run = FrameRun()
        _ = run.append(first)
        // As one piece of many frames, which `append` takes as it would take one.
        _ = run.append(second)
        connection.send(run)
      }
    }
    #expect(connection.sendStatistics.queue.bytes > 0)
    let frames = try drain(connection, end)
    #expect(frames.count + connection.sendStatistics.queue.lateDrops == 3000)
    #expect(frames.areIntact)
  }

  @Test func `a control frame goes before the data that waits, but not amid a frame`() throws {
    let (connection, end) = try connect(queueLimit: 64 << 20)
    let sent = fill(connection)
    for number in sent..<sent + 50 {
      connection.send(frames: numberedFrame(sender: 1, number: number, length: 1000), count: 1)
    }
    let begun = (connection.sendStatistics.traffic.bytes + 1011) / 1012
    connection.send(control: frameBytes(.ping, [7]))
    connection.send(control: frameBytes(.pong, [8]))
    let frames = try drain(connection, end)
    // Behind the frames of which a byte was on the wire, in their own order.
    #expect(frames.map(\.header.type).firstIndex(of: .ping) == begun)
    #expect(frames[begun + 1].header.type == .pong)
    #expect(frames.filter { $0.header.type == .data }.areIntact)
    #expect(frames.count + connection.sendStatistics.queue.lateDrops == sent + 52)
  }

  @Test func `a control frame that is cut by a full socket is finished first`() throws {
    let (connection, end) = try connect()
    var sent = 0
    while connection.sendStatistics.queue.bytes == 0 {
      connection.send(control: frameBytes(.control, [UInt8](repeating: 3, count: 5000 + sent)))
      sent += 1
    }
    connection.send(control: frameBytes(.ping, [1]))
    let frames = try drain(connection, end)
    #expect(frames.map(\.payload.count) == (0..<sent).map { 5000 + $0 } + [1])
  }

  @Test func `a receiver that stalls costs drops and bounded memory, and then goes on well-framed`() throws {
    let limit = 256 << 10
    let (connection, end) = try connect(queueLimit: limit)
    var random = FixedRandom(seed: 23)
    let total = 20_000
    var largest = 0
    for number in 0..<total {
      let length = Int.random(in: 4...4000, using: &random)
      connection.send(frames: numberedFrame(sender: number % 5, number: number, length: length), count: 1)
      largest = max(largest, connection.sendStatistics.queue.bytes)
    }
    #expect(largest <= limit + 2 * FrameHeader.maximumFrame)
    #expect(connection.sendStatistics.queue.overflowDrops > total / 2)
    let frames = try drain(connection, end)
    let queue = connection.sendStatistics.queue
    #expect(frames.count + queue.overflowDrops + queue.lateDrops == total)
    #expect(frames.areIntact)
    for sender in 0..<5 {
      let numbers = frames.filter { $0.sender == sender }.map(\.number)
      #expect(numbers == numbers.sorted() && !numbers.isEmpty)
    }
    // And new frames go straight through.
    connection.send(frames: numberedFrame(sender: 1, number: total, length: 100), count: 1)
    #expect(try parseFrames(end.read()).map(\.number) == [total])
  }

  @Test func `the largest frames fit the smallest queue that holds them`() throws {
    let (connection, end) = try connect(queueLimit: FrameHeader.maximumFrame + 4096)
    var count = 0
    while connection.sendStatistics.queue.overflowDrops < 3 {
      connection.send(frames: numberedFrame(sender: 1, number: count, length: FrameHeader.maximumPayload), count: 1)
      count += 1
    }
    let frames = try drain(connection, end)
    let queue = connection.sendStatistics.queue
    #expect(frames.count + queue.overflowDrops + queue.lateDrops == count)
    #expect(frames.areIntact)
  }

  @Test func `a queue without room drops everything but the frame that was begun`() throws {
    let (connection, end) = try connect(queueLimit: 0)
    let count = 3000
    connection.send(
      frames: (0..<count).flatMap { numberedFrame(sender: 1, number: $0, length: 1000 + $0 % 3) }, count: count)
    let frames = try drain(connection, end)
    #expect(frames.count + connection.sendStatistics.queue.overflowDrops == count)
    #expect(frames.areIntact)
    #expect(frames.map(\.number) == Array(0..<frames.count))
  }

  @Test func `a receiver that does not even read control frames is cut off`() throws {
    let pair = try SocketPair()
    let stepped = try SteppedConnection(pair.first, queueLimit: 64 << 10)
    let end = RawEnd(pair.second)
    let connection = stepped.connection
    // Every frame in the queue takes a cell of 2 KiB; the socket holds a few thousand at most.
    for number in 0..<50_000 { connection.send(control: frameBytes(.ping, [UInt8(truncatingIfNeeded: number)])) }
    #expect(throws: FrameConnection.ReceiveError.self) { try stepped.receiveAll() }
    #expect(connection.sendStatistics.queue.bytes <= (64 << 10) + 1_000_000)
    _ = end
  }

  @Test func `trimming keeps what waits and the count of drops`() throws {
    let (connection, end) = try connect(queueLimit: 64 << 10)
    for number in 0..<2000 {
      connection.send(frames: numberedFrame(sender: 1, number: number, length: 1000), count: 1)
    }
    let before = connection.sendStatistics.queue
    #expect(before.overflowDrops > 0)
    connection.trim()
    #expect(connection.sendStatistics.queue == before)
    _ = try drain(connection, end)
    let drained = connection.sendStatistics.queue
    connection.trim()
    #expect(connection.sendStatistics.queue.overflowDrops == drained.overflowDrops)
    #expect(connection.sendStatistics.queue.lateDrops == drained.lateDrops)
    connection.send(frames: numberedFrame(sender: 1, number: 1, length: 10), count: 1)
    #expect(try parseFrames(end.read()).count == 1)
  }

  @Test func `another limit counts once nothing waits any more`() throws {
    let (connection, end) = try connect(queueLimit: 1 << 20)
    func send(_ count: Int) {
      for number in 0..<count {
        connection.send(frames: numberedFrame(sender: number % 200, number: number, length: 2000), count: 1)
      }
    }
    while connection.hasSentAll { send(1) }
    send(200)
    connection.setQueueLimit(64 << 10)
    send(100)
    #expect(connection.sendStatistics.queue.overflowDrops == 0, "what was made for more keeps its room")
    _ = try drain(connection, end)
    #expect(connection.hasSentAll)
    while connection.hasSentAll { send(1) }
    send(1000)
    let queue = connection.sendStatistics.queue
    #expect(queue.overflowDrops > 0 && queue.bytes <= (64 << 10) + 4 * FrameHeader.maximumFrame)
    _ = try drain(connection, end)
    connection.setQueueLimit(8 << 20)
    while connection.hasSentAll { send(1) }
    send(1000)
    #expect(connection.sendStatistics.queue.bytes > 1 << 20)
  }

  @Test func `after a close nothing is sent, and what waited is gone`() throws {
    let (connection, end) = try connect()
    let sent = fill(connection)
    connection.close()
    connection.close()
    #expect(connection.sendStatistics.queue.bytes == 0)
    connection.send(frames: numberedFrame(sender: 1, number: sent, length: 10), count: 1)
    connection.send(control: frameBytes(.ping))
    connection.flush()
    connection.trim()
    #expect(connection.sendStatistics.traffic.frames == sent)
    // What the socket took still arrives.
    let taken = connection.sendStatistics.traffic.bytes
    #expect(try end.read().count == taken)
  }

  @Test func `a send to a peer that is gone fails in silence`() throws {
    let pair = try SocketPair()
    let connection = FrameConnection(pair.first, loop: try EventLoop(), queueLimit: 1 << 20)
    pair.second.shutDown()
    connection.send(frames: numberedFrame(sender: 1, number: 1, length: 10), count: 1)
    connection.send(control: frameBytes(.ping))
    connection.flush()
    #expect(connection.sendStatistics.queue.bytes == 0)
  }
}
