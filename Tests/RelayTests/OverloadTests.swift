import Glibc
import Link
import Relay
import Synchronization
import SystemIO
import TestSupport
import Testing
import Wire

/// Devices send another one ten times as much as it takes.
@Suite(.serialized) struct OverloadTests {
  private static let payload = 30_000
  private static let queueLimit = 2 << 20
  private static let memory = 8 << 20

  /// Sends frames until it is told to stop, with a pause after each in microseconds.
  private final class Sender: Sendable {
    private let isDone = Atomic(false)
    private let sent = Atomic(0)
    private let thread: Mutex<SystemThread?>

    /// `client` is this one's from now on.
    init(_ client: RawFrameClient, to address: IPv4Address, flow: UInt16, pause: UInt32) {
      thread = Mutex(nil)
      let client = Unchecked(client)
      thread.withLock { thread in
        thread = SystemThread.start(name: "sender") { [self] in
          let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: flow), count: OverloadTests.payload)
          let frame = frameBytes(.data, payload, address: address, flow: flow)
          while !isDone.load(ordering: .relaxed), (try? client.value.send(frame)) != nil {
            sent.add(1, ordering: .relaxed)
            usleep(pause)
          }
        }
      }
    }

    var count: Int { sent.load(ordering: .relaxed) }

    func stop() {
      isDone.store(true, ordering: .relaxed)
      thread.withLock { $0.take() }?.join()
    }
  }

  // `@unchecked`: handed from one thread to another.
  private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  /// In how many of so many times, some milliseconds apart, the client found a frame; all of them whole. Each time
  /// comes once these senders have sent `excess` frames more.
  private func share(
    _ client: RawFrameClient, times: Int, excess: Int, of senders: [Sender], meanwhile: () throws -> Void = {}
  ) throws -> Double {
    func sent() -> Int { senders.reduce(0) { $0 + $1.count } }
    let before = sent()
    var found = 0
    for time in 0..<times {
      usleep(4000)
      try #require(wait { sent() - before >= excess * (time + 1) })
      if time % 20 == 19 { try meanwhile() }
      do {
        let frame = try client.receive(within: .zero)
        guard frame.header.type == .data else { continue }
        found += 1
        #expect(frame.payload == [UInt8](repeating: UInt8(frame.header.flow), count: Self.payload))
      } catch RawFrameClient.Failure.timeout {}
    }
    return Double(found) / Double(times)
  }

  @Test func `a slow device gets what it can take under ten times as much, and others get all of theirs`() throws {
    let relay = try TestRelay(queueLimit: Self.queueLimit, memory: Self.memory)
    defer { relay.stop() }
    let (slow, address) = try relay.join("slow")
    let clients = try (1...10).map { try relay.join("sender-\($0)").client }
    let (one, _) = try relay.join("one")
    let (two, second) = try relay.join("two")

    // One sender, and as much as is taken, or a little more: the peak.
    var senders = [Sender(clients[0], to: address, flow: 1, pause: 2000)]
    defer { for sender in senders { sender.stop() } }
    _ = try share(slow, times: 100, excess: 1, of: senders)
    let peak = try share(slow, times: 250, excess: 1, of: senders)

    for (number, client) in clients.enumerated().dropFirst() {
      senders.append(Sender(client, to: address, flow: UInt16(number + 1), pause: 2000))
    }
    var largestQueue = 0
    var largestMemory = 0
    var others = 0
    let overload = try share(slow, times: 750, excess: 10, of: senders) {
      let status = try #require(relay.status())
      largestMemory = max(largestMemory, status.sendMemory)
      largestQueue = max(largestQueue, try #require(status.sessions.first { $0.address == address }).queue.bytes)
      // Another destination, beside it.
      try one.send(frameBytes(.data, [UInt8](repeating: 99, count: 1000), address: second, flow: 99))
      #expect(try two.receive(.data).payload.count == 1000)
      others += 1
    }
    let queue = try #require(relay.status()?.sessions.first { $0.address == address }).queue
    #expect(overload >= 0.8 * peak, "\(overload) of the times, \(peak) at the peak")
    #expect(largestQueue <= Self.queueLimit + 2 * FrameHeader.maximumFrame)
    #expect(largestMemory <= Self.memory)
    #expect(queue.lateDrops + queue.overflowDrops > 0 && others > 30)
  }
}
