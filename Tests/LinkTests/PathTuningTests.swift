import SystemIO
import TestSupport
import Testing
import Wire

@testable import Link

/// A TCP connection over the loopback, at whose other end nobody reads unless the test does.
private struct TCPPair: ~Copyable {
  let sender: Descriptor
  let receiver: Descriptor

  static func connect() throws -> TCPPair {
    let address = try #require(SocketAddress(numeric: "127.0.0.1", port: 0))
    let listener = try TCPListener(on: address)
    let sender = try TCPSocket(connectingTo: listener.address)
    while true {
      guard let receiver = try listener.accept() else { continue }
      return TCPPair(sender: sender.takeDescriptor(), receiver: receiver.takeDescriptor())
    }
  }
}

@Suite struct PathTuningTests {
  @Test(arguments: [
    (1_000, 4 << 10), (2_500_000, 5_000), (10_000_000, 20_000), (100_000_000, 200_000), (1 << 62, 1 << 20),
  ])
  func `what the kernel may hold lasts two milliseconds, within bounds`(rate: UInt64, limit: Int) {
    #expect(PathTuning.unsentLimit(at: rate) == limit)
  }

  @Test func `on a slow path the kernel holds no more than its share, and everything arrives in order`() throws {
    let pair = try TCPPair.connect()
    try pair.sender.tune(.frames)
    let limit = 8 << 10
    pair.sender.setUnsentLimit(limit)
    var queue = SendQueue(limit: 16 << 20, memory: nil)
    var sent: [UInt8] = []
    for number in 0..<200 {
      var frame = [UInt8](repeating: UInt8(number), count: 60_000)
      frame.withUnsafeMutableBytes {
        FrameHeader(type: .data, length: $0.count - FrameHeader.size, address: IPv4Address(bits: 1)).write(to: $0)
      }
      sent += frame
      frame.withUnsafeBytes { queue.add($0, flow: 1, at: .now()) }
    }
    let buffer = RawBuffer(count: 1 << 20)
    var received: [UInt8] = []
    var mostUnsent = 0
    while received.count < sent.count {
      // The time stands still for CoDel, which would drop what waits for long.
      let now = Instant(nanoseconds: 0)
      while try queue.flush(to: pair.sender, at: now, unsentLimit: limit) > 0 {
        mostUnsent = max(mostUnsent, pair.sender.unsent())
      }
      if let count = try pair.receiver.read(into: buffer.bytes) { received += buffer.bytes[..<count] }
    }
    #expect(received == sent)
    // Beyond what the other end's buffer took, some had to wait.
    #expect(mostUnsent > 0)
    #expect(mostUnsent <= limit)
  }

  @Test func `congestion control is changed where the kernel has it`() throws {
    let pair = try TCPPair.connect()
    let before = pair.sender.congestionControl()
    #expect(before != nil)
    let isUnknownSet = pair.sender.setCongestionControl("no-such-thing")
    #expect(!isUnknownSet)
    // Every kernel has this one, and lets everybody have it.
    let isSet = pair.sender.setCongestionControl("reno")
    #expect(isSet)
    let (sender, receiver) = (pair.sender.congestionControl(), pair.receiver.congestionControl())
    #expect(sender == "reno")
    #expect(receiver == before)
  }

  @Test func `what is no TCP connection has no congestion control`() throws {
    let pair = try SocketPair()
    let (name, isSet, unsent) = (
      pair.first.congestionControl(), pair.first.setCongestionControl("reno"), pair.first.unsent()
    )
    #expect(name == nil)
    #expect(!isSet)
    #expect(unsent == 0)
  }
}
