import SystemIO
import TestSupport
import Testing

@testable import DeviceHost

@Suite struct PacedJobTests {
  @Test func `a job that is asked for now and then is done at once each time, and beyond its rate later`() throws {
    let thread = try LoopThread()
    let done = Mailbox<Int>()
    let job = thread.run {
      LoopBound(PacedJob(on: thread.loop, RateLimit(perSecond: 0.0001, burst: 3)) { done.put(done.items.count) })
    }
    for count in 1...3 {
      thread.run { job?.value.request() }
      #expect(done.waitFor(count).count == count)
    }
    thread.run { job?.value.request() }
    #expect(!wait(atMost: .milliseconds(200)) { done.items.count > 3 })
    thread.run { withExtendedLifetime(job) {} }
    thread.stop()
  }

  @Test func `requests until it is done are one`() throws {
    let thread = try LoopThread()
    let done = Mailbox<Int>()
    let job = thread.run {
      let job = PacedJob(on: thread.loop, RateLimit(perSecond: 1000, burst: 1000)) { done.put(1) }
      for _ in 0..<10 { job.request() }
      return LoopBound(job)
    }
    #expect(done.waitFor(1).count == 1)
    #expect(!wait(atMost: .milliseconds(100)) { done.items.count > 1 })
    thread.run { withExtendedLifetime(job) {} }
    thread.stop()
  }
}
