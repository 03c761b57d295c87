import Link
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct ReceiveTests {
  private static func frame(_ length: Int, _ type: FrameType = .data) -> ReceivedFrame {
    var random = FixedRandom(seed: UInt64(length) + 1)
    return ReceivedFrame(
      header: FrameHeader(
        type: type, length: length, address: IPv4Address(bits: UInt32(length)), flow: UInt16(length & 0xFFFF)),
      payload: (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
  }

  private static func bytes(_ frames: [ReceivedFrame]) -> [UInt8] {
    frames.flatMap { frameBytes($0.header.type, $0.payload, address: $0.header.address, flow: $0.header.flow) }
  }

  private static let small = [frame(0), frame(1), frame(64, .ping), frame(11), frame(0, .pong), frame(12), frame(13)]
  private static let mixed = small + [frame(1400), frame(300, .control), frame(2048)]

  private func connect() throws -> (end: RawEnd, connection: SteppedConnection) {
    let pair = try SocketPair()
    return (RawEnd(pair.first), try SteppedConnection(pair.second))
  }

  @Test func `frames that come at once are all delivered, and then it is done`() throws {
    let (end, stepped) = try connect()
    try end.send(Self.bytes(Self.mixed))
    try stepped.receive()
    #expect(stepped.frames == Self.mixed)
    #expect(stepped.finishes == 1)
    #expect(stepped.connection.received.frames == Self.mixed.count)
    #expect(stepped.connection.received.bytes == Self.bytes(Self.mixed).count)
  }

  @Test func `nothing there is no error`() throws {
    let (end, stepped) = try connect()
    try stepped.receive()
    #expect(stepped.frames.isEmpty && stepped.finishes == 0)
    _ = end
  }

  @Test func `a stream cut anywhere arrives intact`() throws {
    let stream = Self.bytes(Self.mixed)
    let memory = ReceiveMemory()
    for cut in 0...stream.count {
      let pair = try SocketPair()
      let end = RawEnd(pair.first)
      let stepped = try SteppedConnection(pair.second, memory: memory)
      for part in [stream[..<cut], stream[cut...]] where !part.isEmpty {
        try end.send(part)
        try stepped.receive()
      }
      try stepped.receiveAll()
      #expect(stepped.frames == Self.mixed, "cut at \(cut)")
    }
  }

  @Test func `a stream cut at any two places arrives intact`() throws {
    let frames = [Self.frame(3), Self.frame(0), Self.frame(17)]
    let stream = Self.bytes(frames)
    let memory = ReceiveMemory()
    for first in 1..<stream.count {
      for second in first..<stream.count {
        let pair = try SocketPair()
        let end = RawEnd(pair.first)
        let stepped = try SteppedConnection(pair.second, memory: memory)
        for part in [stream[..<first], stream[first..<second], stream[second...]] where !part.isEmpty {
          try end.send(part)
          try stepped.receive()
        }
        try stepped.receiveAll()
        #expect(stepped.frames == frames, "cut at \(first) and \(second)")
      }
    }
  }

  @Test func `a stream of single bytes arrives intact`() throws {
    let (end, stepped) = try connect()
    for byte in Self.bytes(Self.mixed) {
      try end.send([byte])
      try stepped.receive()
      // A read that finds nothing must not forget what has come.
      try stepped.receive()
    }
    #expect(stepped.frames == Self.mixed)
  }

  @Test func `frames up to the largest arrive intact in pieces of any size`() throws {
    var random = FixedRandom(seed: 5)
    let frames = [0, 128 << 10, 1, 65_549, 131_071, 12, 4096].map { Self.frame($0) }
    let stream = Self.bytes(frames)
    for _ in 0..<10 {
      let (end, stepped) = try connect()
      var offset = 0
      while offset < stream.count {
        let size = min(stream.count - offset, Int.random(in: 1...150_000, using: &random))
        offset += try end.send(stream[offset..<offset + size])
        try stepped.receive()
      }
      try stepped.receiveAll()
      #expect(stepped.frames == frames)
    }
  }

  @Test func `connections that share memory do not mix their partial frames`() throws {
    let memory = ReceiveMemory()
    let stream = Self.bytes(Self.mixed)
    var ends: [(end: RawEnd, stepped: SteppedConnection, offset: Int)] = []
    for _ in 0..<40 {
      let pair = try SocketPair()
      ends.append((RawEnd(pair.first), try SteppedConnection(pair.second, memory: memory), 0))
    }
    var random = FixedRandom(seed: 17)
    while let index = ends.indices.filter({ ends[$0].offset < stream.count }).randomElement(using: &random) {
      let size = min(stream.count - ends[index].offset, Int.random(in: 1...400, using: &random))
      ends[index].offset += try ends[index].end.send(stream[ends[index].offset..<ends[index].offset + size])
      try ends[index].stepped.receive()
    }
    for end in ends { #expect(end.stepped.frames == Self.mixed) }
  }

  @Test func `a frame may be changed where it lies`() throws {
    let pair = try SocketPair()
    let end = RawEnd(pair.first)
    let connection = FrameConnection(pair.second, loop: try EventLoop(), queueLimit: 0)
    try end.send(Self.bytes([Self.frame(100), Self.frame(200)]))
    var run = FrameRun()
    var copy: [UInt8] = []
    try connection.receive(
      using: ReceiveMemory(),
      deliver: { bytes, _ in
        FrameHeader.rewriteAddress(of: bytes, to: IPv4Address(bits: 0x0A00_0001))
        _ = run.append(UnsafeRawBufferPointer(bytes))
      }, finish: { copy = Array(run.first) + Array(run.second) })
    let frames = try parseFrames(copy)
    #expect(frames.map(\.header.address.description) == ["10.0.0.1", "10.0.0.1"])
    #expect(frames.map(\.payload) == [Self.frame(100).payload, Self.frame(200).payload])
  }

  // MARK: Bad input and ends

  @Test(arguments: [
    ([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], WireError.unknownFrameType(7)),
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unknownFrameType(0)),
    ([3, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], .oversizedFrame(.data, (128 << 10) + 1)),
    ([1, 0, 32, 1, 0, 0, 0, 0, 0, 0, 0, 0], .oversizedFrame(.handshake, 8193)),
    ([5, 0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0], .oversizedFrame(.ping, 65)),
    ([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], .reservedBitsSet),
  ])
  func `a bad header is an error, after the good frames before it`(header: [UInt8], expected: WireError) throws {
    for cut in 0...header.count {
      let (end, stepped) = try connect()
      let stream = Self.bytes(Self.small) + header
      try end.send(stream.dropLast(cut))
      var caught: FrameConnection.ReceiveError?
      do {
        try stepped.receive()
        if cut > 0 { try end.send(stream.suffix(cut)) }
        try stepped.receiveAll()
      } catch let error as FrameConnection.ReceiveError {
        caught = error
      }
      guard case .wire(expected)? = caught else {
        Issue.record("cut \(cut) before the end: \(String(describing: caught))")
        continue
      }
      #expect(stepped.frames == Self.small)
      #expect(stepped.finishes >= 1)
    }
  }

  @Test func `the first bad header behind a frame that came in parts is found too`() throws {
    let (end, stepped) = try connect()
    let stream = Self.bytes([Self.frame(500)])
    try end.send(stream[..<100])
    try stepped.receive()
    try end.send(stream[100...] + [99] + [UInt8](repeating: 0, count: 11))
    #expect(throws: FrameConnection.ReceiveError.self) { try stepped.receive() }
    #expect(stepped.frames == [Self.frame(500)])
    #expect(stepped.finishes == 2)
  }

  @Test func `an error of the owner's ends the delivery and is passed on`() throws {
    let (end, stepped) = try connect()
    stepped.onFrame = { frame throws(WireError) in
      if frame.header.type == .ping { throw .unexpectedFrame(.ping) }
    }
    try end.send(Self.bytes(Self.small))
    do {
      try stepped.receive()
      Issue.record("nothing was thrown")
    } catch {
      guard case .wire(.unexpectedFrame(.ping)) = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(stepped.frames.count == 3)
    #expect(stepped.finishes == 1)
  }

  @Test func `a close within a delivery ends it`() throws {
    let (end, stepped) = try connect()
    stepped.onFrame = { [connection = stepped.connection] frame in
      if frame.header.type == .ping { connection.close() }
    }
    try end.send(Self.bytes(Self.small))
    try stepped.receive()
    #expect(stepped.frames == Array(Self.small[..<3]))
    #expect(stepped.finishes == 1)
  }

  @Test(arguments: [0, 5, 12, 40])
  func `the end of the stream is told from silence, even amid a frame`(rest: Int) throws {
    let (end, stepped) = try connect()
    try end.send(Self.bytes([Self.frame(13)]) + Self.bytes([Self.frame(100)]).prefix(rest))
    end.close()
    do {
      try stepped.receiveAll()
      Issue.record("the end was not seen")
    } catch {
      guard case .closed = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(stepped.frames == [Self.frame(13)])
  }

  @Test func `a connection that was reset is a system error`() throws {
    let pair = try SocketPair()
    let stepped = try SteppedConnection(pair.second)
    do {
      // Closed with something unread.
      let first = pair.first
      _ = try [UInt8](repeating: 0, count: 4).withUnsafeBytes { try first.send($0) }
      stepped.connection.send(control: frameBytes(.ping))
    }
    do {
      try stepped.receiveAll()
      Issue.record("the reset was not seen")
    } catch {
      guard case .system(.connectionReset) = error else {
        Issue.record("\(error)")
        return
      }
    }
  }
}
