import Control
import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite(.serialized) struct StreamTests {
  /// A daemon whose peers the test adds. Everything but its path belongs to its loop's thread.
  private final class Daemon: @unchecked Sendable {
    let path: String
    private let directory = TemporaryDirectory()
    private let thread: LoopThread
    private var server: ControlServer?
    private var peers: [PeersReport.Peer] = []
    private var snapshots = 0

    init() throws {
      path = directory.file("test.sock")
      thread = try LoopThread()
      let loop = thread.loop
      thread.run { [self] in
        server = try? ControlServer(path: path, on: loop) { [unowned self] command, answer in
          guard command == .subscribe else { return answer(.done) }
          snapshots += 1
          let report = PeersReport(network: nil, self: nil, complete: true, peers: peers)
          answer(.report(PeerEventReport(.snapshot, time: 1, report: report)))
        }
      }
    }

    deinit { thread.stop() }

    func join(_ numbers: Range<Int>, labels: [String: String]? = nil) {
      thread.run { [self] in
        for number in numbers {
          var peer = PeersReport.Peer(address: "10.0.0.\(number)", deviceId: "d\(number)", state: .online)
          peer.labels = labels
          peers.append(peer)
          server?.publish(PeerEventReport(.joined, time: 2, peer: peer))
        }
      }
    }

    var snapshotsGiven: Int { thread.run { [self] in snapshots } ?? 0 }
    var isListenedTo: Bool { thread.run { [self] in server?.hasSubscribers ?? false } ?? false }
    func stop() { thread.run { [self] in server?.stop() } }
  }

  private func next(_ stream: ControlSubscription) throws -> [PeerEventReport] {
    try stream.next(until: Instant.now().advanced(by: generousWait))
  }

  /// Reads until an event about that peer, or a snapshot with it.
  private func read(_ stream: ControlSubscription, until deviceID: String) throws -> [PeerEventReport] {
    var all: [PeerEventReport] = []
    while true {
      let events = try next(stream)
      try #require(!events.isEmpty, "nothing came")
      all += events
      let isThere = events.contains {
        $0.peer?.deviceId == deviceID || $0.report?.peers.contains { $0.deviceId == deviceID } == true
      }
      if isThere { return all }
    }
  }

  @Test func `a subscriber gets what is there, and then what happens`() throws {
    let daemon = try Daemon()
    daemon.join(1..<3)
    let stream = try ControlSubscription(at: daemon.path, timeout: generousWait)
    let first = try read(stream, until: "d2")
    #expect(first.map(\.event) == [.snapshot])
    #expect(first.first?.report?.peers.map(\.deviceId) == ["d1", "d2"])
    daemon.join(3..<5)
    let rest = try read(stream, until: "d4")
    #expect(rest.map(\.event) == [.joined, .joined] && rest.map(\.peer?.deviceId) == ["d3", "d4"])
  }

  @Test func `who does not read loses what waits, gets a snapshot when it does, and holds up nobody`() throws {
    let daemon = try Daemon()
    let slow = try ControlSubscription(at: daemon.path, timeout: generousWait)
    let quick = try ControlSubscription(at: daemon.path, timeout: generousWait)
    _ = try (next(slow), next(quick))
    // More than the socket's buffer and the queue hold.
    let label = ["text": String(repeating: "x", count: 8192)]
    for number in 0..<250 {
      daemon.join(number..<number + 1, labels: label)
      #expect(try read(quick, until: "d\(number)").allSatisfy { $0.event == .joined })
    }
    let seen = try read(slow, until: "d249")
    #expect(seen.count < 250)
    let last = try #require(seen.last)
    #expect(last.event == .snapshot && last.report?.peers.count == 250)
    #expect(daemon.snapshotsGiven == 3)
    daemon.join(250..<251)
    #expect(try read(slow, until: "d250").map(\.event) == [.joined])
  }

  @Test func `there is room for so many subscribers, and asking goes on beside them`() throws {
    let daemon = try Daemon()
    var streams: [ControlSubscription] = []
    var refusal: ControlClient.Failure?
    for _ in 0..<40 where refusal == nil {
      let stream = try ControlSubscription(at: daemon.path, timeout: generousWait)
      do {
        _ = try next(stream)
        streams.append(stream)
      } catch let failure as ControlClient.Failure {
        refusal = failure
      }
    }
    // Root may have twice as many as all users together, any other user half of them.
    #expect(streams.count == (currentUser() == 0 ? 32 : 8))
    guard case .refused(let error) = refusal else {
      Issue.record("nobody was refused")
      return
    }
    #expect(error.code == .busy)
    let _: Done = try ControlClient.ask(.stop, at: daemon.path, timeout: generousWait)
    streams = []
    #expect(wait { !daemon.isListenedTo })
    _ = try next(try ControlSubscription(at: daemon.path, timeout: generousWait))
  }

  @Test func `a stream ends with the daemon`() throws {
    let daemon = try Daemon()
    let stream = try ControlSubscription(at: daemon.path, timeout: generousWait)
    _ = try next(stream)
    daemon.stop()
    #expect(throws: ControlClient.Failure.self) { while true { _ = try next(stream) } }
  }
}
