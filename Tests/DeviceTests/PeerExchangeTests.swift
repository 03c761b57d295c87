import Noise
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Device

/// Which peer gets a turn when, with sessions that the test makes. Timers do not fire.
@Suite struct PeerExchangeTests {
  private final class Sessions: PeerMessenger {
    var isConnected = true
    var goesFirst = true
    var refused: Set<String> = []
    var opened: [Peer] = []
    var ready: Set<IPv4Address> = []
    var sent: [(message: PeerMessage, to: IPv4Address)] = []

    func goesFirst(before peer: Peer) -> Bool { goesFirst }
    func objection(to peer: Peer) -> String? { refused.contains(peer.deviceID) ? "not to be trusted" : nil }

    func openSession(with state: PeerState) -> Bool {
      opened.append(state.peer)
      return ready.contains(state.address)
    }

    func send(_ message: [UInt8], to state: PeerState) -> Bool {
      guard ready.contains(state.address) else { return false }
      if let message = try? message.withUnsafeBytes({ try PeerMessage.decode($0) }) {
        sent.append((message, state.address))
      }
      return true
    }

    func asked(_ address: IPv4Address) -> Bool {
      sent.contains { item in
        if case .ask = item.message { item.to == address } else { false }
      }
    }
  }

  private final class Scene {
    let sessions = Sessions()
    let neighbourhood = Neighbourhood(deviceID: "own")
    let exchange: PeerExchange
    private var revision = 0

    init(limit: Int = 250) throws {
      var settings = DeviceSettings(
        deviceID: "own", peers: PeerSettings(key: testKey("own")), trust: TrustAnybody(), route: .servers([]))
      settings.peerInformation = limit
      exchange = PeerExchange(
        settings, neighbourhood, sessions, on: try EventLoop(), onEvent: { _ in }, onWarning: { _ in })
      neighbourhood.rejoin(
        Membership(
          address: IPv4Address(bits: 0x0A00_FFFE), pool: IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 16),
          relayAddress: IPv4Address(bits: 0x0A00_FFFD)))
    }

    func peer(_ number: Int) -> Peer {
      Peer(
        address: IPv4Address(bits: 0x0A00_0000 + UInt32(number)), deviceID: "peer-\(number)",
        key: testKey("peer").publicKey, ciphers: CipherList([.aes256GCM]))
    }

    /// The relay lists these peers, and no others.
    func tell(_ numbers: some Sequence<Int>) {
      tell(numbers.map { peer($0) })
    }

    func tell(_ peers: [Peer]) {
      revision += 1
      var changes: [PeerChange] = []
      _ = neighbourhood.apply(PeerUpdate(revision: revision, since: nil, joined: peers)) { changes.append($0) }
      exchange.update(changes, isComplete: true)
    }

    func sessionIsReady(with peer: Peer) {
      if let state = neighbourhood.listed(peer.address) { exchange.sessionIsReady(with: state) }
    }

    func record(_ peer: Peer) -> PeerRecord? { neighbourhood.listed(peer.address)?.record }

    func say(_ message: PeerMessage, _ peer: Peer) {
      guard let state = neighbourhood.listed(peer.address) else { return }
      message.encoded().withUnsafeBytes { exchange.receive($0, from: state) }
    }

    func answer(_ peer: Peer, revision: Int = 1) {
      say(
        .orchestration(Orchestration(deviceID: peer.deviceID, revision: revision, platform: "linux/arm64")), peer)
    }
  }

  @Test func `of many that join at once only so many are dealt with at a time, until all have told`() throws {
    let scene = try Scene()
    scene.tell(1...200)
    #expect(scene.sessions.opened.count == PeerExchange.turns)
    var answered = 0
    while answered < scene.sessions.opened.count {
      let peer = scene.sessions.opened[answered]
      scene.sessions.ready.insert(peer.address)
      scene.sessionIsReady(with: peer)
      #expect(scene.sessions.asked(peer.address))
      scene.answer(peer)
      answered += 1
      #expect(scene.sessions.opened.count <= answered + PeerExchange.turns)
    }
    #expect(answered == 200 && Set(scene.sessions.opened.map(\.deviceID)).count == 200)
    // In random order.
    #expect(scene.sessions.opened.map(\.address) != scene.sessions.opened.map(\.address).sorted())
  }

  @Test func `who would lose a handshake leaves the first word to the other, and asks back in its session`() throws {
    let scene = try Scene()
    scene.sessions.goesFirst = false
    scene.tell([1])
    #expect(scene.sessions.opened.isEmpty)
    let peer = scene.peer(1)
    scene.sessions.ready = [peer.address]
    scene.sessionIsReady(with: peer)
    scene.say(.ask(have: nil), peer)
    let asks = scene.sessions.sent.filter { $0.message == .ask(have: nil) }
    #expect(asks.count == 1)
    #expect(scene.sessions.sent.contains { $0.message == .orchestration(scene.exchange.own) })
    scene.answer(peer)
    #expect(scene.record(peer)?.turn == PeerRecord.Turn.none)
  }

  @Test func `a push goes to those who have asked, and again until they say that they have it`() throws {
    let scene = try Scene()
    scene.tell([1, 2])
    for peer in [scene.peer(1), scene.peer(2)] {
      scene.sessions.ready.insert(peer.address)
      scene.sessionIsReady(with: peer)
      scene.answer(peer)
    }
    let peer = scene.peer(1)
    scene.say(.ask(have: nil), peer)
    scene.sessions.sent = []
    var new = scene.exchange.own
    new.labels = ["zone": "hall"]
    scene.exchange.announce(new)
    new.revision += 1
    #expect(scene.exchange.own == new)
    #expect(scene.sessions.sent.map(\.to) == [peer.address])
    #expect(scene.sessions.sent.map(\.message) == [.orchestration(new)])
    #expect(scene.record(peer)?.isActive == true)
    // The connection is lost before the peer has said anything, and comes back.
    scene.exchange.pause()
    scene.tell([1, 2])
    // Both are asked as well: they may have forgotten that this device wants to hear of changes.
    let after = scene.sessions.sent.dropFirst()
    #expect(after.filter { $0.message == .orchestration(new) }.map(\.to) == [peer.address])
    #expect(Set(after.filter { $0.message == .ask(have: 1) }.map(\.to)) == [peer.address, scene.peer(2).address])
    scene.say(.ask(have: new.revision), peer)
    #expect(scene.sessions.sent.last?.message == .unchanged)
    scene.say(.unchanged, peer)
    #expect(scene.record(peer)?.isActive == false)
  }

  @Test func `who has forgotten this device is asked whether it still says the same`() throws {
    let scene = try Scene()
    scene.tell([1])
    let peer = scene.peer(1)
    scene.sessions.ready = [peer.address]
    scene.sessionIsReady(with: peer)
    scene.answer(peer, revision: 7)
    scene.record(peer)?.answeredAt = Instant(nanoseconds: 0)
    scene.sessions.sent = []
    scene.say(.ask(have: nil), peer)
    #expect(scene.sessions.sent.map(\.message) == [.orchestration(scene.exchange.own), .ask(have: 7)])
  }

  @Test func `a peer that is not to be trusted holds nobody up, and is asked once it is`() throws {
    let scene = try Scene()
    scene.sessions.refused = Set((1...100).map { "peer-\($0)" })
    scene.tell(1...101)
    #expect(scene.sessions.opened.map(\.deviceID) == ["peer-101"])
    scene.sessions.refused = []
    scene.exchange.retryAll()
    #expect(scene.sessions.opened.count == PeerExchange.turns)
  }

  @Test func `peers that leave make room for others`() throws {
    let scene = try Scene()
    scene.tell(1...100)
    let first = Set(scene.sessions.opened.map(\.deviceID))
    scene.tell((1...100).filter { !first.contains("peer-\($0)") })
    #expect(scene.sessions.opened.count == 2 * PeerExchange.turns)
    scene.tell([])
    #expect(scene.neighbourhood.peers.isEmpty)
  }

  @Test func `the same ID with another key begins with nothing`() throws {
    let scene = try Scene()
    scene.tell([1])
    var peer = scene.peer(1)
    scene.sessions.ready = [peer.address]
    scene.sessionIsReady(with: peer)
    scene.answer(peer, revision: 7)
    #expect(scene.record(peer)?.orchestration?.revision == 7)
    peer.key = testKey("another").publicKey
    scene.tell([peer])
    #expect(scene.record(peer)?.orchestration == nil)
    #expect(scene.record(peer)?.path.lastProof == nil)
  }

  @Test func `what is known of the fewest peers that are kept is that of the latest used`() throws {
    let scene = try Scene(limit: 3)
    scene.tell(1...10)
    #expect(scene.sessions.opened.isEmpty)
    for number in [1, 2, 3, 1, 4] {
      let peer = scene.peer(number)
      scene.sessions.ready.insert(peer.address)
      scene.exchange.sessionIsInUse(with: try #require(scene.neighbourhood.listed(peer.address)))
      scene.answer(peer)
    }
    let known = scene.neighbourhood.listed.filter { $0.record?.orchestration != nil }.map(\.peer.deviceID)
    #expect(known.sorted() == ["peer-1", "peer-3", "peer-4"])
    // Information that was not needed is not kept.
    scene.answer(scene.peer(9))
    #expect(scene.record(scene.peer(9))?.orchestration == nil)
  }
}
