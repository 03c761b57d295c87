import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import Link

@Suite struct ControlRateTests {
  private let start = Instant.now()

  private func at(_ seconds: Double) -> Instant { start.advanced(by: .seconds(seconds)) }

  @Test func `so many may come at once, and then so many a second`() {
    var rate = ControlRate(perSecond: 100, burst: 1000)
    #expect(rate.take(1000, at: at(1)) == .fine)
    for second in 2..<20 { #expect(rate.take(100, at: at(Double(second))) == .fine) }
    guard case .pause(let time) = rate.take(50, at: at(19)) else {
      Issue.record("it goes on")
      return
    }
    #expect(time > .milliseconds(590) && time < .milliseconds(610), "until a tenth of a second's frames can come")
  }

  @Test func `a pause has an end, however much has come`() {
    var rate = ControlRate(perSecond: 10, burst: 10)
    #expect(rate.take(100_000, at: at(1)) == .pause(.seconds(1)))
  }

  @Test func `who sends too much for ten seconds is at the end`() {
    var rate = ControlRate(perSecond: 100, burst: 200)
    var time = 0.1
    while time < 10 {
      #expect(rate.take(250, at: at(time)) != .end)
      time += 0.5
    }
    #expect(rate.take(250, at: at(10.2)) == .end)
  }

  @Test func `a device that rests in between is never ended`() {
    var rate = ControlRate(perSecond: 100, burst: 200)
    for round in 0..<20 {
      let time = Double(round) * 3 + 1
      #expect(rate.take(250, at: at(time)) != .end)
    }
  }

  @Test func `one excess is forgotten by a device that then stays just below its rate`() {
    var rate = ControlRate(perSecond: 100, burst: 200)
    #expect(rate.take(250, at: at(1)) != .fine)
    // Never as much as half the burst is left meanwhile.
    for second in 2..<40 { #expect(rate.take(second < 4 ? 50 : 100, at: at(Double(second))) == .fine) }
    #expect(rate.take(150, at: at(40)) != .end)
  }
}

/// How much of what has come is dealt with at once.
@Suite struct TurnTests {
  private func connect(
    _ memory: ReceiveMemory = ReceiveMemory()
  ) throws -> (end: RawEnd, stepped: SteppedConnection) {
    let pair = try SocketPair()
    return (RawEnd(pair.first), try SteppedConnection(pair.second, memory: memory))
  }

  private func count(_ stepped: SteppedConnection, of type: FrameType) -> Int {
    stepped.frames.count { $0.header.type == type }
  }

  @Test(arguments: [FrameType.ping, .pong, .control, .handshake, .peerHandshake])
  func `a turn takes 64 frames that cost much, and all of them come in the end, in order`(type: FrameType) throws {
    let (end, stepped) = try connect()
    let frames = (0..<300).map { frameBytes(type, [UInt8($0 & 0xFF), UInt8($0 >> 8)]) }
    try end.send(frames.flatMap { $0 })
    var turns = 0
    while stepped.frames.count < 300 {
      let before = stepped.frames.count
      try stepped.receive()
      turns += 1
      try #require(stepped.frames.count > before && stepped.frames.count <= before + 64)
      #expect((stepped.connection.rest != nil) == (stepped.frames.count < 300))
    }
    #expect(turns >= 5 && stepped.finishes == turns)
    #expect(stepped.frames.map { Int($0.payload[0]) | Int($0.payload[1]) << 8 } == Array(0..<300))
  }

  @Test func `a turn takes 2048 frames of data at the most`() throws {
    let (end, stepped) = try connect()
    try end.send((0..<5000).flatMap { _ in frameBytes(.data) })
    try stepped.receive()
    #expect(stepped.frames.count <= 2048 && stepped.connection.rest != nil)
    while stepped.connection.rest != nil { try stepped.receive() }
    #expect(stepped.frames.count == 5000)
  }

  @Test func `where much waits for its turn, all are read in small portions`() throws {
    let memory = ReceiveMemory(maximumWaiting: 1)
    let both = [try connect(memory), try connect(memory)]
    for (end, stepped) in both {
      try end.send((0..<4000).flatMap { _ in frameBytes(.ping, [UInt8](repeating: 0, count: 8)) })
      try stepped.receive()
    }
    #expect(memory.waiting > 70_000 && memory.waiting < 80_000 + 32 << 10, "all of the first, little of the second")
    while both[1].stepped.frames.count < 4000 { try both[1].stepped.receive() }
    #expect(memory.waiting > 70_000 && memory.waiting < 80_000)
    both[0].stepped.connection.close()
    #expect(memory.waiting == 0)
  }

  @Test func `the time of a turn is looked at with every frame that costs much`() throws {
    let (end, stepped) = try connect()
    stepped.onFrame = { _ in _ = wait(atMost: .milliseconds(2)) { false } }
    try end.send((0..<10).flatMap { _ in frameBytes(.control, [1]) })
    for count in 1...10 {
      try stepped.receive()
      #expect(stepped.frames.count == count)
    }
    #expect(stepped.connection.rest == nil)
  }

  @Test func `what a turn leaves may end in the middle of a frame`() throws {
    let (end, stepped) = try connect()
    let stream = (0..<200).flatMap { number in frameBytes(.ping, [UInt8](repeating: UInt8(number), count: 48)) }
    for cut in [stream.count - 1, stream.count - 53, stream.count - 60, 70 * 60 + 5] {
      let before = stepped.frames.count
      try end.send(stream[..<cut])
      try stepped.receive()
      try end.send(stream[cut...])
      for _ in 0..<1000 where stepped.frames.count < before + 200 { try stepped.receive() }
      #expect(stepped.frames[before...].map { $0.payload[0] } == (0..<200).map { UInt8($0) })
    }
  }

  @Test func `a connection that ends within a turn delivers nothing more`() throws {
    let (end, stepped) = try connect()
    stepped.onFrame = { frame in if frame.payload == [99] { stepped.connection.close() } }
    try end.send((0..<200).flatMap { frameBytes(.ping, [UInt8($0)]) })
    for _ in 0..<10 { try stepped.receive() }
    #expect(stepped.frames.count == 100)
  }

  @Test func `who sends too much is not read for a while, and the rest counts as a sign of life`() throws {
    let (end, stepped) = try connect()
    let rate = ControlRate(perSecond: 1, burst: 10)
    stepped.connection.controlRate = rate
    try end.send((0..<300).flatMap { _ in frameBytes(.ping, [1]) })
    try stepped.receive()
    let count = stepped.frames.count
    #expect(count <= 64 && stepped.connection.rest != nil)
    try end.send(frameBytes(.data))
    // However many turns it has: nothing, if the first one was long enough for the limit.
    while !stepped.connection.isPaused { try stepped.receive() }
    let paused = stepped.frames.count
    try stepped.receive()
    #expect(stepped.frames.count == paused && paused < 300)
    let later = Instant.now().advanced(by: .seconds(100))
    try stepped.connection.check(at: later, wasAway: false, KeepaliveTerms(base: .seconds(1)))
    #expect(stepped.connection.lastReceived == later)
  }

  @Test func `a long frame counts as several`() throws {
    let (end, stepped) = try connect()
    stepped.connection.controlRate = ControlRate(perSecond: 1, burst: 50)
    for _ in 0..<10 {
      try end.send(frameBytes(.control, [UInt8](repeating: 32, count: 10_000)))
      try stepped.receive()
    }
    #expect(stepped.connection.isPaused && stepped.frames.count < 10)
  }
}
