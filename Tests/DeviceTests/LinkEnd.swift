import Link
import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// One device's links on a loop of its own thread. `@unchecked`: used on that thread alone, by `run`.
final class LinkEnd: PeerLinksDelegate, @unchecked Sendable {
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

  func begin(with other: LinkEnd) {
    guard let state = state(other.peer), links.link(to: state) != nil else { return }
    links.begin(with: state)
  }

  func take(_ payload: [UInt8], from source: Peer) {
    payload.withUnsafeBytes { links.receive(handshake: $0, from: source.address) }
  }

  /// Sealed content for a peer with whom there is a session.
  func seal(_ content: [UInt8], for other: LinkEnd) -> [UInt8]? {
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
struct PairChanges: Sendable {
  var one: @Sendable (inout PeerSettings) -> Void = { _ in }
  var two: @Sendable (inout PeerSettings) -> Void = { _ in }
}

/// Runs `body` with two devices that know each other, on their loop's thread.
func withPair(
  _ change: PairChanges = PairChanges(), _ body: @escaping @Sendable (LinkEnd, LinkEnd) -> Void
) throws {
  let thread = try LoopThread()
  thread.run {
    let first = LinkEnd(1, on: thread, change.one)
    let second = LinkEnd(2, on: thread, change.two)
    first.know([second.peer])
    second.know([first.peer])
    body(first, second)
  }
  thread.stop()
}

/// Delivers handshake messages until none is left.
func deliver(_ one: LinkEnd, _ two: LinkEnd) {
  while !one.outbox.isEmpty || !two.outbox.isEmpty {
    for (end, other) in [(one, two), (two, one)] {
      let waiting = end.outbox
      end.outbox = []
      for (payload, _) in waiting { other.take(payload, from: end.peer) }
    }
  }
}

func establish(_ one: LinkEnd, _ two: LinkEnd) {
  one.begin(with: two)
  deliver(one, two)
  // The first frame tells the responder that the session is in use.
  let frame = one.seal([], for: two)
  #expect(frame.flatMap { two.open($0, from: one.peer) } == [])
}
