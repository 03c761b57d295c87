import Link
import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// Sessions of devices, with the test as relay: it sees and delivers, changes or drops every frame.
@Suite(.serialized) struct PeerLinksTests {
  /// One device's links on a loop of its own thread. `@unchecked`: used on that thread alone, by `run`.
  private final class End: PeerLinksDelegate, @unchecked Sendable {
    let peer: Peer
    let thread: LoopThread
    let neighbourhood: Neighbourhood
    let links: PeerLinks
    /// Reads what the links send.
    private let relaySide: FrameConnection
    private let memory = ReceiveMemory()
    private var kept: [(payload: [UInt8], to: IPv4Address)] = []
    var ready: [Bool] = []
    var failures = 0
    var lines: [String] = []
    var messages: [[UInt8]] = []

    init(_ number: UInt32, on thread: LoopThread, _ change: (inout PeerSettings) -> Void = { _ in }) {
      let name = "device-\(number)"
      var settings = PeerSettings(key: testKey(name), ciphers: CipherList([.aes256GCM, .chaCha20Poly1305]))
      change(&settings)
      peer = Peer(
        address: IPv4Address(bits: 0x0A00_0000 + number), deviceID: name, key: settings.key.publicKey,
        ciphers: settings.ciphers)
      self.thread = thread
      guard let sockets = try? SocketPair() else { preconditionFailure("the kernel has sockets") }
      relaySide = FrameConnection(sockets.second, loop: thread.loop, queueLimit: 1 << 20)
      neighbourhood = Neighbourhood(deviceID: name)
      neighbourhood.relay.connection = FrameConnection(sockets.first, loop: thread.loop, queueLimit: 1 << 20)
      neighbourhood.rejoin(
        Membership(
          address: peer.address, pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24),
          relayAddress: IPv4Address(bits: 0x0A00_0001)))
      links = PeerLinks(settings, neighbourhood, on: thread.loop)
      links.delegate = self
    }

    /// Payloads of peer-handshake frames that wait to be delivered, with their destinations.
    var outbox: [(payload: [UInt8], to: IPv4Address)] {
      get {
        var count = -1
        while count != kept.count {
          count = kept.count
          neighbourhood.relay.connection?.flush()
          try? relaySide.receiveWhole(
            using: memory,
            deliver: { frame, header in
              if header.type == .peerHandshake { kept.append((Array(frame[FrameHeader.size...]), header.address)) }
            })
        }
        return kept
      }
      set { kept = newValue }
    }

    func know(_ peers: [Peer]) {
      _ = neighbourhood.apply(PeerUpdate(revision: 1, since: nil, joined: peers))
      links.update()
    }

    func sessionIsReady(with state: PeerState) { ready.append(state.link?.current?.isInitiator ?? false) }
    func handshakeHasFailed(with state: PeerState) { failures += 1 }
    func received(_ message: UnsafeRawBufferPointer, from state: PeerState) { messages.append(Array(message)) }
    func sessionIsInUse(with state: PeerState) {}
    func warn(_ line: String) { lines.append(line) }

    func state(_ other: Peer) -> PeerState? { neighbourhood.peers[other.address] }
    var hasLinks: Bool { links.linked.contains { _ in true } }

    func begin(with other: End) {
      guard let state = state(other.peer), links.link(to: state) != nil else { return }
      links.begin(with: state)
    }

    func take(_ payload: [UInt8], from source: Peer) {
      payload.withUnsafeBytes { links.receive(handshake: $0, from: source.address) }
    }

    /// Sealed content for a peer with whom there is a session.
    func seal(_ content: [UInt8], for other: End) -> [UInt8]? {
      guard let session = state(other.peer)?.link?.current else { return nil }
      var payload =
        [UInt8](repeating: 0, count: SealedHeader.size) + content
        + [UInt8](repeating: 0, count: TransportCipher.tagSize)
      payload.withUnsafeMutableBytes { session.seal($0) }
      return payload
    }

    func open(_ payload: [UInt8], from source: Peer) -> [UInt8]? {
      guard let state = state(source) else { return nil }
      var payload = payload
      return payload.withUnsafeMutableBytes { bytes in links.open(bytes, from: state).map { Array($0.content) } }
    }
  }

  /// Changes of the two devices' settings.
  private struct Changes: Sendable {
    var one: @Sendable (inout PeerSettings) -> Void = { _ in }
    var two: @Sendable (inout PeerSettings) -> Void = { _ in }
  }

  /// Runs `body` with two devices that know each other, on their loop's thread.
  private func withPair(
    _ change: Changes = Changes(), _ body: @escaping @Sendable (End, End) -> Void
  ) throws {
    let thread = try LoopThread()
    thread.run {
      let first = End(1, on: thread, change.one)
      let second = End(2, on: thread, change.two)
      first.know([second.peer])
      second.know([first.peer])
      body(first, second)
    }
    thread.stop()
  }

  /// Delivers handshake messages until none is left.
  private func deliver(_ one: End, _ two: End) {
    while !one.outbox.isEmpty || !two.outbox.isEmpty {
      for (end, other) in [(one, two), (two, one)] {
        let waiting = end.outbox
        end.outbox = []
        for (payload, _) in waiting { other.take(payload, from: end.peer) }
      }
    }
  }

  private func establish(_ one: End, _ two: End) {
    one.begin(with: two)
    deliver(one, two)
    // The first frame tells the responder that the session is in use.
    let frame = one.seal([], for: two)
    #expect(frame.flatMap { two.open($0, from: one.peer) } == [])
  }

  @Test func `an initiation and its answer make one session, which the first frame confirms`() throws {
    try withPair { one, two in
      one.begin(with: two)
      deliver(one, two)
      #expect(one.ready == [true] && two.ready.isEmpty)
      #expect(two.seal([1], for: one) == nil)
      let frame = one.seal([1, 2, 3], for: two)
      #expect(frame.flatMap { two.open($0, from: one.peer) } == [1, 2, 3])
      #expect(two.ready == [false])
      let back = two.seal([4], for: one)
      #expect(back.flatMap { one.open($0, from: two.peer) } == [4])
      #expect(one.links.counters.sessions == 1 && two.links.counters.sessions == 1)
    }
  }

  @Test(arguments: [true, false])
  func `of two that begin at once, one answers the other, and one session results`(isFirstFaster: Bool) throws {
    try withPair { one, two in
      one.begin(with: two)
      two.begin(with: one)
      if isFirstFaster { deliver(one, two) } else { deliver(two, one) }
      #expect(one.ready.count + two.ready.count == 1)
      let (initiator, responder) = one.ready == [true] ? (one, two) : (two, one)
      #expect(initiator.peer.key.bytes.lexicographicallyPrecedes(responder.peer.key.bytes))
      let frame = initiator.seal([7], for: responder)
      #expect(frame.flatMap { responder.open($0, from: initiator.peer) } == [7])
      #expect(responder.seal([8], for: initiator).flatMap { initiator.open($0, from: responder.peer) } == [8])
    }
  }

  @Test func `an initiation that is lost is sent anew, with other keys`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (End, End) in
        let (one, two) = (End(1, on: thread), End(2, on: thread))
        one.know([two.peer])
        two.know([one.peer])
        one.begin(with: two)
        return (one, two)
      })
    #expect(wait { thread.run { pair.0.outbox.count >= 2 } == true })
    thread.run {
      let (one, two) = pair
      #expect(one.outbox[0].payload != one.outbox[1].payload)
      one.outbox.removeFirst()
      deliver(one, two)
      #expect(one.ready == [true])
    }
    thread.stop()
  }

  @Test func `a frame is taken once, in any order within the window, and never with a bit changed`() throws {
    try withPair { one, two in
      establish(one, two)
      let frames = (0..<100).compactMap { one.seal([UInt8($0)], for: two) }
      #expect(frames.count == 100)
      for (number, frame) in frames.enumerated().reversed() {
        #expect(two.open(frame, from: one.peer) == [UInt8(number)])
        #expect(two.open(frame, from: one.peer) == nil)
      }
      #expect(two.links.counters.replayed == 100)
      guard let frame = one.seal(Array("nobody changes this".utf8), for: two) else { return }
      for index in frame.indices {
        for bit in 0..<8 {
          var changed = frame
          changed[index] ^= 1 << UInt8(bit)
          #expect(two.open(changed, from: one.peer) == nil)
        }
      }
      for length in 0..<frame.count { #expect(two.open(Array(frame.prefix(length)), from: one.peer) == nil) }
      #expect(two.open(frame + [0], from: one.peer) == nil)
      #expect(two.open(frame, from: one.peer) == Array("nobody changes this".utf8))
    }
  }

  @Test func `a frame that comes from far behind the window is dropped`() throws {
    try withPair { one, two in
      establish(one, two)
      let late = one.seal([1], for: two)
      for _ in 0..<ReplayWindow.size { _ = one.seal([2], for: two) }
      let newest = one.seal([3], for: two)
      #expect(newest.flatMap { two.open($0, from: one.peer) } == [3])
      #expect(late.flatMap { two.open($0, from: one.peer) } == nil)
    }
  }

  @Test func `a relay that passes one peer's frame off as another's is not believed`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two, three) = (End(1, on: thread), End(2, on: thread), End(3, on: thread))
      for end in [one, two, three] { end.know([one, two, three].filter { $0 !== end }.map(\.peer)) }
      establish(one, two)
      establish(three, two)
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { two.open($0, from: three.peer) } == nil)
      // Nor an initiation.
      one.begin(with: two)
      for (payload, _) in one.outbox { two.take(payload, from: three.peer) }
      #expect(!two.outbox.contains { $0.payload.first == PeerHandshakeHeader.Step.response.rawValue })
      #expect(two.lines.contains { $0.contains("an initiation from device-3") })
      #expect(frame.flatMap { two.open($0, from: one.peer) } == [1])
    }
    thread.stop()
  }

  @Test func `a frame goes back to nobody who sent it`() throws {
    try withPair { one, two in
      establish(one, two)
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { one.open($0, from: two.peer) } == nil)
    }
  }

  @Test func `no message of a handshake is taken with a bit changed, cut or prolonged`() throws {
    try withPair { one, two in
      one.begin(with: two)
      guard let initiation = one.outbox.first?.payload else { return }
      one.outbox = []
      for index in initiation.indices where index != 0 {
        var changed = initiation
        changed[index] ^= 0x10
        two.take(changed, from: one.peer)
      }
      for length in [0, 7, 8, 40, initiation.count - 1] { two.take(Array(initiation.prefix(length)), from: one.peer) }
      two.take(initiation + [0], from: one.peer)
      #expect(two.outbox.isEmpty && two.ready.isEmpty)
    }
    try withPair { one, two in
      one.begin(with: two)
      two.take(one.outbox.removeFirst().payload, from: one.peer)
      guard let response = two.outbox.first?.payload else {
        Issue.record("no response")
        return
      }
      for index in response.indices {
        var changed = response
        changed[index] ^= 0x10
        one.take(changed, from: two.peer)
      }
      #expect(one.ready.isEmpty)
      // The forged responses have not ended the attempt.
      one.take(response, from: two.peer)
      #expect(one.ready == [true])
      // A second one is ignored.
      one.take(response, from: two.peer)
      #expect(one.ready == [true])
    }
  }

  @Test func `a replayed initiation does not disturb the session`() throws {
    try withPair { one, two in
      one.begin(with: two)
      guard let initiation = one.outbox.first?.payload else { return }
      deliver(one, two)
      #expect(one.seal([1], for: two).flatMap { two.open($0, from: one.peer) } == [1])
      for _ in 0..<5 { two.take(initiation, from: one.peer) }
      two.outbox = []
      #expect(two.seal([2], for: one).flatMap { one.open($0, from: two.peer) } == [2])
      #expect(one.seal([3], for: two).flatMap { two.open($0, from: one.peer) } == [3])
      #expect(two.links.counters.sessions == 1)
    }
  }

  @Test func `a flood of initiations is answered only so often`() throws {
    try withPair { one, two in
      for _ in 0..<200 {
        one.know([])
        one.know([two.peer])
        one.begin(with: two)
        // Before the connection's queue is full.
        _ = one.outbox
      }
      for (payload, _) in one.outbox { two.take(payload, from: one.peer) }
      #expect(two.outbox.count <= 30)
      #expect(two.links.counters.limited >= 170)
    }
  }

  @Test func `keys are replaced while frames flow, and none is lost`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (End, End) in
        let quick: (inout PeerSettings) -> Void = { $0.rekeyAfter = .milliseconds(100) }
        let (one, two) = (End(1, on: thread, quick), End(2, on: thread, quick))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        return (one, two)
      })
    let state = Flow()
    let isDone = wait {
      thread.run {
        let (one, two) = pair
        deliver(one, two)
        for (from, to) in [(one, two), (two, one)] {
          guard let frame = from.seal([1], for: to) else {
            state.unsealed += 1
            continue
          }
          // Each frame arrives one round late, so that keys change while some are on their way.
          state.late.append((frame, from, to))
          if state.late.count > 2 {
            let (frame, from, to) = state.late.removeFirst()
            if to.open(frame, from: from.peer) == nil { state.lost += 1 }
          }
        }
        return one.links.counters.sessions >= 6
      } == true
    }
    #expect(isDone)
    thread.run {
      #expect(state.lost == 0 && state.unsealed == 0)
    }
    thread.stop()
  }

  // `@unchecked`: used on the loop's thread alone.
  private final class Flow: @unchecked Sendable {
    var late: [([UInt8], End, End)] = []
    var lost = 0
    var unsealed = 0
  }

  @Test func `keys are replaced after so many frames`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (End, End) in
        let few: (inout PeerSettings) -> Void = { $0.rekeyFrames = 100 }
        let (one, two) = (End(1, on: thread, few), End(2, on: thread, few))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        for _ in 0..<100 { _ = one.seal([1], for: two) }
        return (one, two)
      })
    #expect(wait { thread.run { !pair.0.outbox.isEmpty } == true })
    thread.stop()
  }

  @Test func `a session that is not used is not replaced, and forgotten in the end`() throws {
    let thread = try LoopThread()
    let pair = try #require(
      thread.run { () -> (End, End) in
        let quick: (inout PeerSettings) -> Void = {
          $0.rekeyAfter = .milliseconds(100)
          $0.expireAfter = .milliseconds(150)
        }
        let (one, two) = (End(1, on: thread, quick), End(2, on: thread, quick))
        one.know([two.peer])
        two.know([one.peer])
        establish(one, two)
        return (one, two)
      })
    #expect(wait { thread.run { !pair.0.hasLinks && !pair.1.hasLinks } == true })
    thread.run { #expect(pair.0.links.counters.initiations <= 2) }
    thread.stop()
  }

  @Test func `after a sleep of the host, nothing is sealed or accepted by a session that should have ended`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (End(1, on: thread), End(2, on: thread))
      one.know([two.peer])
      two.know([one.peer])
      establish(one, two)
      let late = one.seal([1], for: two)
      for end in [one, two] { end.links.catchUp(at: .now()) }
      #expect(one.seal([2], for: two).flatMap { two.open($0, from: one.peer) } == [2])
      // No check has run meanwhile.
      for end in [one, two] { end.links.catchUp(at: Instant.now().advanced(by: .seconds(400))) }
      #expect(one.seal([3], for: two) == nil)
      #expect(late.flatMap { two.open($0, from: one.peer) } == nil)
    }
    thread.stop()
  }

  @Test func `a device that was started anew has a new session as soon as its peer sends`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (End(1, on: thread), End(2, on: thread))
      one.know([two.peer])
      two.know([one.peer])
      establish(one, two)
      let again = End(2, on: thread)
      again.know([one.peer])
      let frame = one.seal([1], for: two)
      #expect(frame.flatMap { again.open($0, from: one.peer) } == nil)
      deliver(one, again)
      #expect(again.ready == [true])
      #expect(again.seal([2], for: one).flatMap { one.open($0, from: again.peer) } == [2])
      #expect(one.seal([3], for: again).flatMap { again.open($0, from: one.peer) } == [3])
    }
    thread.stop()
  }

  @Test func `an initiation may come before the relay has told of the peer`() throws {
    let thread = try LoopThread()
    thread.run {
      let (one, two) = (End(1, on: thread), End(2, on: thread))
      one.know([two.peer])
      one.begin(with: two)
      deliver(one, two)
      #expect(one.ready.isEmpty)
      two.know([one.peer])
      deliver(one, two)
      #expect(one.ready == [true])
    }
    thread.stop()
  }

  @Test(arguments: [
    ([CipherSuite.aes256GCM, .chaCha20Poly1305], [CipherSuite.chaCha20Poly1305, .aes256GCM], CipherSuite.aes256GCM),
    ([.aes256GCM, .chaCha20Poly1305], [.chaCha20Poly1305], .chaCha20Poly1305),
    ([.chaCha20Poly1305], [.aes256GCM, .chaCha20Poly1305], .chaCha20Poly1305),
  ])
  func `the cipher is the best that both have`(ones: [CipherSuite], twos: [CipherSuite], expected: CipherSuite) throws {
    try withPair(Changes(one: { $0.ciphers = CipherList(ones) }, two: { $0.ciphers = CipherList(twos) })) { one, two in
      establish(one, two)
      #expect(one.state(two.peer)?.link?.current?.suite == expected)
      #expect(two.state(one.peer)?.link?.current?.suite == expected)
    }
  }

  @Test func `devices without a common cipher say so`() throws {
    try withPair(
      Changes(
        one: { $0.ciphers = CipherList([.aes256GCM]) }, two: { $0.ciphers = CipherList([.chaCha20Poly1305]) })
    ) {
      one, two in
      one.begin(with: two)
      #expect(one.outbox.isEmpty)
      #expect(one.lines.first?.contains("no cipher in common") == true)
    }
  }

  @Test func `a relay that vouches for another key than the pinned one gets nothing`() throws {
    try withPair(Changes(one: { $0.pinnedKeys = ["device-2": testKey("somebody else").publicKey] })) { one, two in
      one.begin(with: two)
      #expect(one.outbox.isEmpty)
      #expect(one.lines.first?.contains("peer-keys") == true)
      two.begin(with: one)
      deliver(one, two)
      #expect(two.ready.isEmpty && !one.hasLinks)
    }
  }

  @Test func `a session outlives that the relay does not list the peer for a while`() throws {
    try withPair { one, two in
      establish(one, two)
      two.know([])
      two.know([one.peer])
      #expect(one.seal([1], for: two).flatMap { two.open($0, from: one.peer) } == [1])
    }
  }

  @Test func `nothing is kept of a peer that was sent away`() throws {
    try withPair { one, two in
      establish(one, two)
      one.links.drop(two.peer.address)
      #expect(!one.hasLinks)
    }
  }

  @Test func `a link ends with the peer's key`() throws {
    try withPair { one, two in
      establish(one, two)
      var other = two.peer
      one.know([other])
      #expect(one.hasLinks)
      other.key = testKey("new").publicKey
      one.know([other])
      #expect(!one.hasLinks)
    }
  }
}
