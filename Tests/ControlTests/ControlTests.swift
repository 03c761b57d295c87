import Control
import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite(.serialized) struct ControlTests {
  /// A server on a thread of its own that answers with a fixed status.
  private final class Daemon {
    let path: String
    private let directory = TemporaryDirectory()
    private let thread: LoopThread

    init() throws {
      path = directory.file("test.sock")
      thread = try LoopThread()
      let (path, loop) = (path, thread.loop)
      let server = thread.run { () -> Unchecked? in
        let server = try? ControlServer(path: path, on: loop) { command, answer in
          switch command {
          case .status: answer(.status(Daemon.report))
          case .peers: answer(.failed(ControlError(.busy, "later")))
          case .stop: answer(.done)
          }
        }
        return server.map(Unchecked.init)
      }
      self.server = try #require(server ?? nil)
    }

    deinit { thread.stop() }

    private let server: Unchecked
    /// The server belongs to the loop's thread; the test only keeps it.
    private struct Unchecked: @unchecked Sendable { let server: ControlServer }

    static let report = StatusReport(program: "test", programVersion: "1", processId: 1, uptime: 2)
  }

  /// What comes back for `bytes`, with the sending side closed behind them or not.
  private func ask(_ daemon: Daemon, _ bytes: [UInt8], thenClose: Bool = false) throws -> String {
    let socket = try Descriptor.connected(toUnix: daemon.path)
    _ = try bytes.withUnsafeBytes { try socket.send($0) }
    if thenClose { shutdown(socket.raw, CInt(SHUT_WR)) }
    var answer: [UInt8] = []
    let buffer = RawBuffer(count: 4096)
    let deadline = Instant.now().advanced(by: generousWait)
    while try socket.wait(for: .readable, until: deadline) {
      guard let count = try socket.read(into: buffer.bytes), count > 0 else { break }
      answer += buffer.bytes[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
  }

  @Test func `what the daemon reports reaches the tool`() throws {
    let daemon = try Daemon()
    #expect(try ControlClient.status(at: daemon.path, timeout: generousWait) == Daemon.report)
    try ControlClient.stop(at: daemon.path, timeout: generousWait)
  }

  @Test func `a refusal keeps its code and its words`() throws {
    let daemon = try Daemon()
    do {
      _ = try ControlClient.peers(at: daemon.path, timeout: generousWait)
      Issue.record("an answer came")
    } catch {
      guard case .refused(let refusal) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(refusal == ControlError(.busy, "later"))
    }
  }

  @Test func `who sends nothing more gets the answer all the same`() throws {
    let daemon = try Daemon()
    for _ in 0..<20 {
      let answer = try ask(daemon, Array(#"{"version":1,"command":"status"}"#.utf8) + [10], thenClose: true)
      #expect(answer.contains(#""program":"test""#))
    }
  }

  @Test(arguments: [
    "garbage", "{}", #"{"version":2,"command":"status"}"#, #"{"version":1,"command":"fly"}"#,
    #"{"version":1e400,"command":"status"}"#, "[[[[[[[[[[", "\u{0}\u{1}", "",
  ])
  func `what is no request is answered with an error`(line: String) throws {
    let daemon = try Daemon()
    #expect(try ask(daemon, Array(line.utf8) + [10]).contains(#""code":"bad-request""#))
    #expect(try ControlClient.status(at: daemon.path, timeout: generousWait) == Daemon.report)
  }

  @Test func `a line without an end is refused at its limit`() throws {
    let daemon = try Daemon()
    #expect(try ask(daemon, [UInt8](repeating: 0x61, count: 5000)).contains("longer than 4096 bytes"))
  }

  @Test func `nobody there is told from somebody else there`() throws {
    let directory = TemporaryDirectory()
    do {
      _ = try ControlClient.status(at: directory.file("none.sock"), timeout: .seconds(1))
      Issue.record("an answer came")
    } catch {
      guard case .notRunning(.noSuchFileOrDirectory) = error else {
        Issue.record("\(error)")
        return
      }
    }
  }
}
