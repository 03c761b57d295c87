import Link
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Link

/// Who ended a connection and why, in words.
@Suite struct ConnectionEndTests {
  private func connect(queueLimit: Int = 1 << 20) throws -> (end: RawEnd, stepped: SteppedConnection) {
    let pair = try SocketPair()
    return (RawEnd(pair.first), try SteppedConnection(pair.second, queueLimit: queueLimit))
  }

  private func text(_ stepped: SteppedConnection) -> String? {
    do throws(FrameConnection.ReceiveError) {
      try stepped.receiveAll()
      return nil
    } catch {
      return error.text("the device")
    }
  }

  @Test func `a device that closes, and one that is cut off because it does not read, are told apart`() throws {
    let (gone, first) = try connect()
    gone.close()
    #expect(text(first)?.hasPrefix("the device closed the connection without giving a reason") == true)

    let (deaf, second) = try connect(queueLimit: 64 << 10)
    for _ in 0..<50_000 { second.connection.send(control: frameBytes(.ping, [1])) }
    #expect(text(second) == "closed from here, because the device does not read what is sent to it")
    _ = deaf
  }

  @Test func `another protocol is named once its first line is whole, and a short one when it ends or is waited for`()
    throws
  {
    let (browser, first) = try connect()
    try browser.send("GET / HTTP/1.0\r\n\r\n".utf8)
    #expect(text(first)?.hasPrefix("the device sent HTTP in place of") == true)

    let (alert, second) = try connect()
    try alert.send([0x15, 3, 3, 0, 2, 2, 70])
    #expect(text(second) == nil && second.connection.foreignProtocol == .tls)
    alert.close()
    #expect(text(second)?.hasPrefix("the device sent TLS") == true)
  }

  @Test func `what comes behind a frame is no other protocol`() throws {
    let (end, stepped) = try connect()
    try end.send(frameBytes(.ping, [1]) + Array("GET / HTTP/1.0\r\n\r\n".utf8))
    #expect(text(stepped)?.contains("unknown type 71") == true)
  }

  // MARK: Large packets

  private func path(timeouts: Int = 0, acknowledged: Duration = .zero, outOfOrder: Int = 0) -> TCPPath {
    var path = TCPPath(segment: 1448, mtu: 1500, roundTrip: .milliseconds(10))
    (path.timeouts, path.acknowledged, path.outOfOrder) = (timeouts, acknowledged, outOfOrder)
    return path
  }

  @Test func `data that is lost again and again while something comes is a matter of size`() throws {
    let problem = try #require(SizeProblem(path(timeouts: 4), nil, heard: .seconds(60)))
    #expect(problem.direction == .outgoing && problem.segment == 1448)
    #expect(problem.text("the relay").contains("MTU") && problem.text("the relay").contains("1500"))
    #expect(SizeProblem(path(timeouts: 4, acknowledged: .seconds(5)), nil, heard: .seconds(1)) != nil)
    // Nothing comes at all: the path is cut.
    #expect(SizeProblem(path(timeouts: 9, acknowledged: .seconds(5)), nil, heard: .seconds(5)) == nil)
    #expect(SizeProblem(path(timeouts: 1), nil, heard: .zero) == nil)
  }

  @Test func `what comes behind something missing once the ping has arrived is a matter of size too`() throws {
    var ping = EchoWatch(end: 100, outOfOrder: 3)
    #expect(SizeProblem(path(outOfOrder: 4), ping, heard: .seconds(4)) == nil)
    _ = ping.note(acknowledged: 100)
    #expect(SizeProblem(path(outOfOrder: 4), ping, heard: .seconds(4))?.direction == .incoming)
    #expect(SizeProblem(path(outOfOrder: 3), ping, heard: .seconds(4)) == nil)
  }

  @Test func `a ping is on its way as long as more is acknowledged, and not once it has arrived`() {
    var ping = EchoWatch(end: 100)
    let moves = [10, 10, 60, 120, 500].map { ping.note(acknowledged: $0) }
    // What was before the first look says nothing; and once the ping is there, the other end's kernel may take bytes
    // for a program that is stuck.
    #expect(moves == [false, false, true, true, false])
    #expect(ping.isDelivered)
  }
}
