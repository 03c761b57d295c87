import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@testable import Control

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
          case .status: answer(.report(Daemon.report))
          case .peers: answer(.failed(ControlError(.busy, "later")))
          case .stop: answer(.done)
          // All other commands come back as text, in a member for any text.
          default: answer(.report(KeyReport(role: .relay, key: "\(command)", fingerprint: "")))
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

    static let report = StatusReport(
      program: "test", programVersion: "1", processId: 1, uptime: 2, role: .relay, logLevel: "info")
  }

  /// The answer to `bytes`. With `thenClose` the client closes its sending side after them.
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

  private func status(_ daemon: Daemon) throws -> StatusReport {
    try ControlClient.ask(.status, at: daemon.path, timeout: generousWait)
  }

  @Test func `what the daemon reports reaches the tool`() throws {
    let daemon = try Daemon()
    #expect(try status(daemon) == Daemon.report)
    let _: Done = try ControlClient.ask(.stop, at: daemon.path, timeout: generousWait)
  }

  #if SYSTEM_CALL_FAULTS
    @Test(arguments: [UInt64](1...10))
    func `requests and reports arrive whole, however little of them goes at once`(_ seed: UInt64) throws {
      let faults = SystemCallFaults(seed: seed)
      try faults.run {
        let daemon = try Daemon()
        for _ in 0..<20 { #expect(try status(daemon) == Daemon.report) }
        let longest = String(repeating: "k", count: 200)
        let answer: KeyReport = try ControlClient.ask(
          .approve(longest), at: daemon.path, timeout: generousWait)
        #expect(answer.key.contains(longest))
      }
      let counts = faults.counts
      #expect(counts.shortened > 0 && counts.wouldBlock > 0 && counts.interrupted > 0)
    }
  #endif

  @Test func `a refusal keeps its code and its words`() throws {
    let daemon = try Daemon()
    do {
      _ = try ControlClient.ask(.peers, PeersReport.self, at: daemon.path, timeout: generousWait)
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
    #expect(try status(daemon) == Daemon.report)
  }

  @Test func `a line without an end is refused at its limit`() throws {
    let daemon = try Daemon()
    #expect(try ask(daemon, [UInt8](repeating: 0x61, count: 40_000)).contains("longer than 32768 bytes"))
  }

  @Test func `a daemon that ends without an answer is told from one that talks nonsense`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("ends.sock")
    let listener = try UnixListener(path: path, mode: 0o600)
    let server = SystemThread.start(name: "ends") {
      _ = try? listener.descriptor.wait(for: .readable, until: Instant.now().advanced(by: generousWait))
      _ = try? listener.accept()
    }
    defer { server.join() }
    do {
      _ = try ControlClient.ask(.status, StatusReport.self, at: path, timeout: generousWait)
      Issue.record("an answer came")
    } catch {
      guard case .noAnswer = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  @Test func `a server that cannot have both sockets leaves none behind`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    // A regular file is in the place of the second socket.
    close(open(ControlServer.ownersPath(path), O_WRONLY | O_CREAT, 0o600))
    let thread = try LoopThread()
    defer { thread.stop() }
    let loop = thread.loop
    let error = thread.run { () -> UnixListenerError? in
      do {
        _ = try ControlServer(path: path, on: loop) { _, answer in answer(.done) }
        return nil
      } catch {
        return error as? UnixListenerError
      }
    }
    guard case .notASocket?? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(throws: Errno.noSuchFileOrDirectory) { _ = try Descriptor.connected(toUnix: path) }
  }

  @Test func `nobody there is told from somebody else there`() throws {
    let directory = TemporaryDirectory()
    do {
      _ = try ControlClient.ask(.status, StatusReport.self, at: directory.file("none.sock"), timeout: .seconds(1))
      Issue.record("an answer came")
    } catch {
      guard case .notRunning(.noSuchFileOrDirectory) = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  /// Requests of that kind, from the shortest to one with as many members as go together.
  private static func examples(_ kind: ControlCommand.Kind) -> [ControlCommand] {
    var commands: [ControlCommand] = []
    var members = [#""version":1"#, #""command":"\#(kind.name)""#]
    /// Whether the request takes the member; others may still be missing.
    func add(_ member: [String]) -> Bool {
      let all = (members + member).joined(separator: ",")
      do throws(ControlError) {
        commands.append(try ControlRequest(parsing: "{\(all)}".utf8).command)
      } catch {
        guard error.text.hasSuffix(" is missing") else { return false }
      }
      members += member
      return true
    }
    _ = add([])
    for name in kind.members {
      let values = ["true", "1000", #""x""#, #"["x"]"#, #"[{"name":"x","health":"up"}]"#, #"{"x":"x"}"#]
      _ = values.first { add([#""\#(name)":\#($0)"#]) }
    }
    return commands
  }

  @Test(arguments: ControlCommand.Kind.all)
  func `a command arrives with all that it says`(kind: ControlCommand.Kind) throws {
    let commands = Self.examples(kind)
    #expect(!commands.isEmpty && commands.allSatisfy { $0.kind.name == kind.name })
    if ["status", "peers", "subscribe", "stop"].contains(kind.name) { return }
    let daemon = try Daemon()
    for command in commands {
      let answer: KeyReport = try ControlClient.ask(command, at: daemon.path, timeout: generousWait)
      #expect(answer.key == "\(command)")
    }
  }

  /// Its names would change if the coder converted them like keys.
  static let announceOrder: AnnounceOrder = {
    var order = AnnounceOrder()
    order.reset = true
    order.services = [
      .init(name: "camera_a", version: "1.0 β", port: 554, protocol: "rtsp", health: .degraded),
      .init(name: "detector"),
    ]
    order.withdrawnServices = ["old"]
    order.labels = ["zoneName": "hall", "zone_name": "hall_2", "Zone": "x"]
    order.withdrawnLabels = ["gpu"]
    order.load = .number(0.25)
    return order
  }()

  @Test func `an announcement arrives with its names as they are`() throws {
    let daemon = try Daemon()
    for load in [.number(0), .nothing, nil] as [AnnounceOrder.Load?] {
      var order = Self.announceOrder
      order.load = load
      // The text of a dictionary has no fixed order, so this compares the order without labels.
      let labels = order.labels
      order.labels = [:]
      let answer: KeyReport = try ControlClient.ask(.announce(order), at: daemon.path, timeout: generousWait)
      #expect(answer.key == "\(ControlCommand.announce(order))")
      var only = AnnounceOrder()
      only.labels = labels
      let said: KeyReport = try ControlClient.ask(.announce(only), at: daemon.path, timeout: generousWait)
      for (name, value) in labels { #expect(said.key.contains(#""\#(name)": "\#(value)""#)) }
    }
  }

  @Test func `the largest announcement fits into a request, and its report into an answer`() throws {
    let daemon = try Daemon()
    var order = AnnounceOrder()
    for number in 10..<10 + Orchestration.maximumLabels {
      order.labels["label_\(number)"] = String(repeating: "v", count: 200)
    }
    order.withdrawnServices = (10..<10 + Orchestration.maximumServices).map {
      "\($0)" + String(repeating: "s", count: DeviceID.maximumLength - 2)
    }
    let answer: KeyReport = try ControlClient.ask(.announce(order), at: daemon.path, timeout: generousWait)
    #expect(answer.key.contains("label_73") && answer.key.contains(order.withdrawnServices[63]))
  }

  @Test func `what is told of a device keeps the names of its labels`() throws {
    let report = OrchestrationReport(
      revision: 1 << 24, deviceId: "cam", hostName: nil, platform: "linux/arm64", executionType: "container",
      services: [.init(name: "a", version: nil, port: 1, protocol: nil, health: .up)],
      labels: ["zoneName": "a", "zone_name": "b"], load: 0.5, place: nil, announcedServices: ["a"],
      announcedLabels: [])
    #expect(
      String(decoding: JSON.line(report), as: UTF8.self) == """
        {"announced_labels":[],"announced_services":["a"],"device_id":"cam","execution_type":"container",\
        "labels":{"zoneName":"a","zone_name":"b"},"load":0.5,"platform":"linux/arm64",\
        "revision":16777216,"services":[{"health":"up","name":"a","port":1}],"version":1}

        """)
  }

  @Test(arguments: [
    (#"{"version":1,"command":"announce","services":"a"}"#, "services is a list of objects with name and health"),
    (#"{"version":1,"command":"announce","services":[{"name":"a"}]}"#, "services is a list of objects with name and"),
    (#"{"version":1,"command":"announce","labels":{"a":1}}"#, "labels is an object of texts"),
    (#"{"version":1,"command":"announce","load":"1"}"#, "load is a number"),
    (#"{"version":1,"command":"announce","load":1,"no_load":true}"#, "load and no_load do not go together"),
    (#"{"version":1,"command":"announce","revision":1}"#, "a request for announce has no member revision"),
    (#"{"version":1,"command":"invite","uses":0}"#, "uses is a whole number from 1 to 10000"),
    (#"{"version":1,"command":"invite","uses":"3"}"#, "uses is a whole number from 1 to 10000"),
    (#"{"version":1,"command":"invite","uses":null}"#, "uses is a whole number from 1 to 10000"),
    (#"{"version":1,"command":"invite","expires_s":31536001}"#, "expires_s is a whole number from 1 to 31536000"),
    (#"{"version":1,"command":"invite","device_id":""}"#, "device_id is a text of 1 to 255 bytes"),
    (#"{"version":1,"command":"invite","servers":"a"}"#, "servers is a list of texts of 1 to 255 bytes each"),
    (#"{"version":1,"command":"invite","servers":[""]}"#, "servers is a list of texts of 1 to 255 bytes each"),
    (#"{"version":1,"command":"invite","lifetime":5}"#, "a request for invite has no member lifetime"),
    (#"{"version":1,"command":"status","\u0007\u001b[1m":5}"#, "a request for status has no member ??[1m"),
    (#"{"version":1,"command":"revoke"}"#, "the member device_id is missing"),
    (#"{"version":1,"command":"drain","within_ms":99}"#, "within_ms is a whole number from 100 to 3600000"),
    (#"{"version":1,"command":"reload","within_ms":100}"#, "a request for reload has no member within_ms"),
    (#"{"version":1,"command":"ping"}"#, "the member peer is missing"),
    (#"{"version":1,"command":"explain","peer":"x","within_ms":99}"#, "within_ms is a whole number from 100 to 60000"),
    (#"{"version":1,"command":"fetch","within_ms":99}"#, "within_ms is a whole number from 100 to 60000"),
    (#"{"version":1,"command":"subscribe","peer":"x"}"#, "a request for subscribe has no member peer"),
    (#"{"version":1,"command":"approve","name":7}"#, "name is a text of 1 to 255 bytes"),
    (#"{"version":2,"command":"status"}"#, "this daemon answers requests of version 1"),
    (#"{"version":1,"command":"fly"}"#, "there is no such command; there are status, metrics, peers"),
    (#"["status"]"#, "a request is a JSON object with a version and a command"),
  ])
  func `a request that is wrong is told how`(line: String, words: String) throws {
    let daemon = try Daemon()
    #expect(try ask(daemon, Array(line.utf8) + [10]).contains(#""code":"bad-request","text":"\#(words)"#))
  }

  @Test func `everybody may ask how it goes, and nobody else may change it`() {
    let open = ControlCommand.Kind.all.filter { $0.audience == .everybody }.map(\.name)
    #expect(open == ["status", "metrics", "peers", "fetch", "show", "ping", "explain", "subscribe", "key"])
  }
}
