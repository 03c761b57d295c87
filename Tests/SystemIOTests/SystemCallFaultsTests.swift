import SystemIO
import SystemPackage
import TestSupport
import Testing

// The seam is in debug builds alone.
#if SYSTEM_CALL_FAULTS
  @Suite struct SystemCallFaultsTests {
    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    /// The ways to send what is left, and how many bytes of it may go at once.
    enum Sending: CaseIterable {
      case write, send, sendTwo, gather

      func some(of left: UnsafeRawBufferPointer, to socket: borrowing Descriptor) throws(Errno) -> Int? {
        let half = left.count / 2
        let first = UnsafeRawBufferPointer(rebasing: left[..<half])
        let second = UnsafeRawBufferPointer(rebasing: left[half...])
        switch self {
        case .write: return try socket.write(left)
        case .send: return try socket.send(left)
        case .sendTwo: return try socket.send(first, then: second)
        case .gather:
          var pieces = IOVectors(capacity: 2)
          pieces.append(first)
          pieces.append(second)
          return try pieces.send(to: socket)
        }
      }
    }

    private func transfer(
      _ content: [UInt8], by sending: Sending, from one: borrowing Descriptor, to other: borrowing Descriptor
    ) throws -> [UInt8] {
      let source = RawBuffer(count: content.count)
      source.bytes.copyBytes(from: content)
      let first = RawBuffer(count: 700)
      let second = RawBuffer(count: 300)
      var received: [UInt8] = []
      var sent = 0
      while received.count < content.count {
        if sent < content.count {
          sent += try sending.some(of: UnsafeRawBufferPointer(rebasing: source.bytes[sent...]), to: one) ?? 0
        }
        if received.count % 2 == 0 {
          guard let count = try other.read(into: first.bytes) else { continue }
          received += first.bytes[..<count]
        } else {
          guard let count = try other.read(into: first.bytes, then: second.bytes) else { continue }
          received += first.bytes[..<min(count, 700)]
          received += second.bytes[..<max(0, count - 700)]
        }
      }
      return received
    }

    @Test(arguments: Sending.allCases, [UInt64](1...8))
    func `a stream arrives as it was sent, however little of it goes at once`(_ sending: Sending, _ seed: UInt64) throws
    {
      let faults = SystemCallFaults(seed: seed)
      let content = bytes(5000)
      let received = try faults.run {
        let pair = try SocketPair()
        return try transfer(content, by: sending, from: pair.first, to: pair.second)
      }
      #expect(received == content)
      let counts = faults.counts
      #expect(counts.shortened > 0 && counts.wouldBlock > 0 && counts.interrupted > 0)
    }

    @Test(arguments: [UInt64](1...8))
    func `a file is written and read whole`(_ seed: UInt64) throws {
      let directory = TemporaryDirectory()
      let faults = SystemCallFaults(seed: seed)
      let content = bytes(40_000)
      try faults.run {
        try Directory(directory.path).write("file", content, over: .replace, owner: nil)
        #expect(try readFile(directory.file("file"), limit: 1 << 20) == content)
        #expect(try Directory(directory.path).read("file", limit: 1 << 20).content == content)
        #expect(try readFile(directory.file("file"), limit: 333) == Array(content[..<333]))
      }
      #expect(faults.counts.shortened > 0 && faults.counts.interrupted > 0)
      #expect(faults.counts.wouldBlock == 0, "a file never blocks")
    }

    @Test(arguments: [UInt64](1...8))
    func `connections are made and taken`(_ seed: UInt64) throws {
      let faults = SystemCallFaults(seed: seed)
      try faults.run {
        let listener = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
        for _ in 0..<20 {
          let client = try TCPSocket(connectingTo: listener.address)
          let isReady = try listener.descriptor.wait(for: .readable, until: Instant.now().advanced(by: generousWait))
          #expect(isReady)
          var server: TCPSocket?
          while server == nil { server = try listener.accept() }
          #expect(client.peer == listener.address)
        }
      }
      #expect(faults.counts.wouldBlock > 0 && faults.counts.interrupted > 0)
    }

    @Test func `a packet is never cut, and an event never lost`() throws {
      let faults = SystemCallFaults(seed: 1)
      try faults.run {
        let flag = try WakeUp()
        for _ in 0..<50 {
          flag.raise()
          let isUp = flag.wait(until: Instant.now().advanced(by: generousWait))
          #expect(isUp)
          flag.lower()
        }
        let thread = try LoopThread()
        let count = Mailbox<Int>()
        for number in 0..<100 { thread.loop.post { count.put(number) } }
        #expect(count.waitFor(100) == Array(0..<100))
        thread.stop()
      }
      #expect(faults.counts.interrupted > 0 && faults.counts.shortened == 0)
    }

    @Test func `threads that are started have the same faults, and other threads none`() throws {
      let faults = SystemCallFaults(seed: 1)
      @Sendable func useSystemCalls() {
        for _ in 0..<100 { _ = try? SocketPair() }
      }
      faults.run {
        SystemThread.start(name: "inner") {
          SystemThread.start(name: "innermost") { useSystemCalls() }.join()
        }.join()
      }
      let count = faults.counts.interrupted
      #expect(count > 0)
      useSystemCalls()
      SystemThread.start(name: "outer") { useSystemCalls() }.join()
      #expect(faults.counts.interrupted == count)
    }
  }
#endif
