import SystemIO
import TestSupport
import Testing

// The seam is in debug builds alone.
#if SYSTEM_CALL_FAULTS
  @Suite struct SystemCallCountsTests {
    @Test func `each kind of call is counted, whether it moved something or would have blocked`() throws {
      let counts = SystemCallCounts()
      let memory = RawBuffer(count: 100)
      let bytes = UnsafeRawBufferPointer(memory.bytes)
      try counts.run {
        let pair = try SocketPair()
        _ = try pair.first.send(bytes)
        _ = try pair.first.send(bytes, then: bytes)
        var pieces = IOVectors(capacity: 2)
        pieces.append(bytes)
        _ = try pieces.send(to: pair.first)
        _ = try pair.first.write(bytes)
        while try pair.second.read(into: memory.bytes) != nil {}
        _ = try pair.second.read(into: memory.bytes, then: memory.bytes)
        pair.first.setUnsentLimit(1)
      }
      let tally = counts.now
      #expect(tally[.send] == 3 && tally[.write] == 1 && tally[.tuning] == 1)
      #expect(tally[.read] == 7, "five times a hundred bytes, and twice nothing")
      #expect(tally.total == 12)
    }

    @Test func `threads that are started are counted as well, and other threads are not`() throws {
      let counts = SystemCallCounts()
      @Sendable func call() {
        if let flag = try? WakeUp() { flag.raise() }
      }
      counts.run {
        SystemThread.start(name: "inner") {
          SystemThread.start(name: "innermost") { call() }.join()
          call()
        }.join()
        call()
      }
      #expect(counts.now[.wakeUp] == 3 && counts.now.total == 3)
      call()
      SystemThread.start(name: "outer") { call() }.join()
      #expect(counts.now.total == 3)
    }

    @Test func `a loop without anything to do makes no call, and one with a timer one for each time`() throws {
      let counts = SystemCallCounts()
      let thread = try counts.run { try LoopThread() }
      defer { thread.stop() }
      thread.run {}
      #expect(wait { counts.now[.wait] == 2 })
      let before = counts.now
      let fired = Mailbox<Int>()
      thread.run { setTimer(on: thread.loop, times: 10, fired) }
      #expect(fired.waitFor(10).count == 10)
      #expect(wait { (counts.now - before)[.wait] >= 11 })
      // Each time is a wait, and one wake-up brings the job that begins.
      let calls = counts.now - before
      #expect(calls[.wait] <= 13 && calls[.wakeUp] <= 2 && calls[.interest] == 0)
      let after = counts.now
      _ = wait(atMost: .milliseconds(300)) { false }
      #expect(counts.now == after)
    }

    /// Sets a timer that is set again each time that it fires.
    private func setTimer(on loop: EventLoop, times: Int, _ fired: Mailbox<Int>) {
      loop.schedule(after: .milliseconds(1)) {
        fired.put(times)
        if times > 1 { setTimer(on: loop, times: times - 1, fired) }
      }
    }
  }
#endif
