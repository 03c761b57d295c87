import SystemIO
import SystemPackage
import Testing

@Suite struct ProcessEndTests {
  @Test func `a process that goes on is waited for until the time is up`() throws {
    let end = try ProcessEnd(of: Int32(currentProcess()))
    let hasEnded = try end.wait(until: Instant.now().advanced(by: .milliseconds(20)))
    #expect(!hasEnded)
  }

  @Test func `of a process that is not there no end comes`() {
    #expect(throws: Errno.noSuchProcess) { _ = try ProcessEnd(of: 0x3FFF_FFFF) }
  }
}
