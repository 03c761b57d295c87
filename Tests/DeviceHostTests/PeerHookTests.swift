import Control
import DeviceHost
import Glibc
import Logging
import SystemIO
import TestSupport
import Testing

@Suite struct PeerHookTests {
  /// A hook on a thread of its own, with a shell script as its command.
  private final class Hook: @unchecked Sendable {
    // `@unchecked`: the hook belongs to the thread of its loop.
    private let directory = TemporaryDirectory()
    private let thread: LoopThread
    private var hook: PeerHook?

    init(_ script: String) throws {
      thread = try LoopThread()
      let loop = thread.loop
      let command = ["/bin/sh", "-c", "echo $$ >> \"$1.processes\"; \(script)", "hook", directory.file("out")]
      thread.run { [self] in
        hook = PeerHook(
          command, interface: "mnedc0", on: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      }
    }

    /// Once the loop has taken note of the end of each command: a process that nobody waits for would stay, and an exit
    /// test of Swift Testing in this process would not end.
    deinit {
      _ = wait { lines(in: "out.processes").allSatisfy { kill(pid_t($0) ?? 0, 0) != 0 } }
      thread.stop()
    }

    func take(_ event: PeerEventReport.Event, _ deviceID: String) {
      thread.run { [self] in
        let peer = PeersReport.Peer(address: "10.0.0.7", deviceId: deviceID, state: .online)
        hook?.take(PeerEventReport(event, time: 1, peer: peer))
      }
    }

    func change(_ body: @escaping @Sendable (PeerHook) -> Void) {
      thread.run { [self] in
        if let hook { body(hook) }
      }
    }

    var lines: [String] { lines(in: "out") }

    private func lines(in file: String) -> [String] {
      let content = (try? readFile(directory.file(file), limit: 1 << 20)) ?? []
      return String(decoding: content, as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  private static let script = #"echo "$MNEDC_EVENT $MNEDC_PEER_ID $MNEDC_PEER_ADDRESS $MNEDC_INTERFACE" >> "$1""#

  @Test func `the command runs once for each event, in order, and is told of it by its environment`() throws {
    let hook = try Hook(Self.script)
    hook.change { $0.interface = "mnedc1" }
    for event in [(.joined, "cam"), (.joined, "hub"), (.left, "old")] as [(PeerEventReport.Event, String)] {
      hook.take(event.0, event.1)
    }
    #expect(wait { hook.lines.count == 3 })
    #expect(hook.lines == ["joined cam", "joined hub", "left old"].map { "\($0) 10.0.0.7 mnedc1" })
    hook.change { $0.stop() }
  }

  @Test func `a command that fails keeps no other event from its turn`() throws {
    let hook = try Hook(Self.script + "; exit 3")
    hook.take(.joined, "a")
    hook.take(.joined, "b")
    #expect(wait { hook.lines.count == 2 })
    hook.change { $0.stop() }
  }

  @Test func `without a command, and after the end, nothing is run`() throws {
    let hook = try Hook(Self.script)
    hook.change { $0.command = [] }
    hook.take(.joined, "a")
    hook.change { $0.stop() }
    hook.take(.joined, "b")
    #expect(!wait(atMost: .milliseconds(200)) { !hook.lines.isEmpty })
  }
}
