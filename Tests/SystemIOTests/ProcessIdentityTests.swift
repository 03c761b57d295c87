import Glibc
import SystemIO
import TestSupport
import Testing

@Suite struct ProcessIdentityTests {
  @Test func `this process runs, and is found again by its text`() throws {
    let own = try #require(ProcessIdentity())
    #expect(own.process == currentProcess() && own.presence == .runs)
    #expect(ProcessIdentity(own.description) == own)
  }

  @Test func `a number that another process has now is not taken for the former one`() throws {
    let words = try #require(ProcessIdentity()).description.split(separator: " ").map(String.init)
    func presence(_ place: Int, _ word: String) -> ProcessIdentity.Presence? {
      var other = words
      other[place] = word
      return ProcessIdentity(other.joined(separator: " "))?.presence
    }
    #expect(presence(3, "1") == .isGone)
    #expect(presence(1, "1073741823") == .isGone)
    #expect(presence(5, "1") == .unknown)
  }

  @Test func `a process that has ended is gone, even if nobody has taken note of it`() throws {
    var child = pid_t()
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
    defer { for word in words { free(word) } }
    try #require(posix_spawnp(&child, "sleep", nil, nil, &words, nil) == 0)
    let identity = try #require(ProcessIdentity(of: Int(child)))
    #expect(identity.presence == .runs && identity != ProcessIdentity())
    kill(child, SIGKILL)
    var end = siginfo_t()
    #expect(waitid(P_PID, id_t(child), &end, WEXITED | WNOWAIT) == 0)
    #expect(identity.presence == .isGone)
    var status: CInt = 0
    #expect(waitpid(child, &status, 0) == child)
    #expect(identity.presence == .isGone)
  }

  @Test(arguments: ["", "process", "process 1 started 2 in", "process 0 started 2 in 3", "process 1 started 2 in 3 4"])
  func `any other text is none`(text: String) {
    #expect(ProcessIdentity(text) == nil)
  }
}
