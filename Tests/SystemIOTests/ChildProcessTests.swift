import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct ChildProcessTests {
  private static let path = ["PATH": "/usr/bin:/bin"]

  /// Runs a command to its end.
  private func run(_ command: ChildProcess.Command) throws -> ChildProcess.Outcome {
    let thread = try LoopThread()
    defer { thread.stop() }
    let outcomes = Mailbox<Result<ChildProcess.Outcome, Errno>>()
    thread.loop.post {
      do throws(Errno) {
        try ChildProcess(command, on: thread.loop) { outcomes.put(.success($0)) }
      } catch {
        outcomes.put(.failure(error))
      }
    }
    return try #require(outcomes.waitFor(1).first).get()
  }

  private func shell(
    _ script: String, environment: [String: String] = path, limit: Int = 65_536,
    timeout: Duration = .seconds(60)
  ) throws -> (end: ChildProcess.End, output: String) {
    let outcome = try run(
      .init(
        "sh", ["-c", script], environment: environment, outputLimit: limit, timeout: timeout))
    return (outcome.end, String(decoding: outcome.output, as: UTF8.self))
  }

  @Test func `a program gets its arguments, its environment and no input, and its output comes back`() throws {
    let outcome = try shell(
      "cat; echo \"$A\"; pwd; echo wrong >&2", environment: ["PATH": "/usr/bin:/bin", "A": "b c"])
    #expect(outcome == (.exited(0), "b c\n/\nwrong\n"))
  }

  @Test func `how a program has ended is told`() throws {
    #expect(try shell("exit 7").end == .exited(7))
    #expect(try shell("kill -TERM $$").end == .signalled(15))
    #expect(try run(.init("true", environment: Self.path, timeout: .seconds(60))) == .init(end: .exited(0), output: []))
  }

  @Test func `a program that cannot be started is an error at once`() throws {
    #expect(throws: Errno.noSuchFileOrDirectory) { try run(.init("no-such-program", timeout: .seconds(60))) }
    #expect(throws: Errno.noSuchFileOrDirectory) { try run(.init("/no/such/program", timeout: .seconds(60))) }
    #expect(throws: Errno.permissionDenied) { try run(.init("/etc/passwd", timeout: .seconds(60))) }
    #expect(throws: Errno.invalidArgument) { try run(.init("true", ["a\0b"], timeout: .seconds(60))) }
  }

  @Test func `a program has no descriptor but the standard ones, no capability and a session of its own`() throws {
    #expect(try shell("cat").output == "")
    // The last one is that of the directory which ls reads.
    #expect(
      try run(.init("/bin/ls", ["/proc/self/fd"], outputLimit: 100, timeout: .seconds(60))).output
        == Array("0\n1\n2\n3\n".utf8))
    let lines = try shell("grep -E '^(Cap(Prm|Eff|Inh|Amb)|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status").output
    for line in lines.split(separator: "\n") {
      let parts = line.split(whereSeparator: { ":\t".contains($0) })
      // Two signals are the C library's own, which leaves them as they were.
      let value = try #require(UInt64(parts[1], radix: 16)) & ~(parts[0] == "SigIgn" ? 3 << 31 : 0)
      #expect(value == (parts[0] == "NoNewPrivs" ? 1 : 0), "\(line)")
    }
    #expect(try shell("test \"$(cut -d' ' -f6 /proc/$$/stat)\" = $$ && echo own").output == "own\n")
  }

  @Test func `a program is killed with its group when its time is over`() throws {
    let start = Instant.now()
    #expect(try shell("sleep 600 & echo $!; sleep 600", timeout: .milliseconds(200)).end == .timedOut)
    #expect(Instant.now().since(start) < .seconds(100))
  }

  @Test func `what a program leaves behind ends with it, and does not hold its end up`() throws {
    let outcome = try shell("sleep 600 & echo $!")
    #expect(outcome.end == .exited(0))
    let left = try #require(Int(outcome.output.dropLast()))
    let deadline = Instant.now().advanced(by: .seconds(60))
    // Whoever takes note of its end may take a while.
    while try shell("grep -q '^State:.[^Z]' /proc/\(left)/status").end == .exited(0) {
      guard Instant.now() < deadline else { break }
      sleep(for: .milliseconds(10))
    }
    #expect(try shell("grep -q '^State:.[^Z]' /proc/\(left)/status").end != .exited(0))
  }

  @Test func `output beyond the limit is thrown away`() throws {
    let outcome = try shell("head -c 1000000 /dev/zero | tr '\\0' x; echo", limit: 1000)
    #expect(outcome == (.exited(0), String(repeating: "x", count: 1000)))
  }
}
