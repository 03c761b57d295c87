// What devices tell each other of themselves, and when:
//
//   a peer joins            → it is wanted to tell of itself, and waits in the queue for its turn
//   its turn comes          → a session begins if there is none; in it `ask` goes, and what the peer is to be told
//   the answer comes        → the turn ends; the peer, asked in the same session, needs no handshake of its own
//   this device has changed → all that have asked get a turn, and have the new revision once they say so
//
// Everything that is to be said follows from the records in the book, so nothing else has to be kept for a peer that cannot be
// reached: its turn ends, and comes again later.

internal import SystemIO
internal import Wire

/// What the exchange needs of the device's sessions. Called on the device's thread.
protocol PeerMessenger: AnyObject {
  /// Whether there is a connection to the relay.
  var isConnected: Bool { get }
  var peers: PeerTable { get }
  /// Of two handshakes at once, whether this device's is the one that counts.
  func goesFirst(before peer: Peer) -> Bool
  func objection(to peer: Peer) -> String?
  /// Whether there is a session. If not, one is begun, and the exchange hears of it.
  func openSession(with peer: Peer) -> Bool
  /// False: there is no session.
  func send(_ message: [UInt8], to peer: Peer) -> Bool
  /// Whether the relay may know who has an address that is not listed.
  func mayLocate(_ address: IPv4Address) -> Bool
  /// Asks the relay who has this address.
  func locate(_ address: IPv4Address)
}

/// The exchange of messages with peers: who is asked, who is told, who is there. Owned by the device's thread.
final class PeerExchange {
  // Set once.
  let events: EventLoop
  let onEvent: (PeerEvent) -> Void
  let onWarning: (String) -> Void
  weak var messenger: (any PeerMessenger)?

  /// What this device tells of itself, and the message that does.
  private(set) var own: Orchestration
  private(set) var ownMessage: [UInt8]
  private var lastPush: Instant?
  private var isPushDue = false

  var book: PeerBook
  var counters = PeerMessageCounters()
  var warnings = RateLimit(perSecond: 1, burst: 10)
  /// Bytes of messages that are read, of all peers together.
  var reading = RateLimit(perSecond: 1_000_000, burst: 8_000_000)
  var pings: [Int: Ping] = [:]
  var fetches: [Int: Fetch] = [:]
  var lastFetch = 0

  // Whose turn it is.
  private var waiting: [IPv4Address] = []
  /// Those that somebody waits for, in order.
  private var urgent: ArraySlice<IPv4Address> = []
  private var active = 0
  private var lastTurn = 0
  private var isStarting = false
  /// Whether the relay has not said yet who is there since the connection was made, or there is none.
  private var isPaused = true

  /// Peers dealt with at once; a few more if somebody waits for them.
  static let places = 16
  static let urgentPlaces = 32
  /// How long a turn may take. Then the next comes after as long, doubled each time up to the last.
  static let patience = Duration.seconds(5)
  static let longestRest = Duration.seconds(300)
  /// How long a device leaves the first word to a peer whose handshake would count if both began.
  private static let deference = Duration.seconds(2)
  /// Changes are told this often at most.
  private static let pushInterval = Duration.seconds(1)

  init(
    _ settings: DeviceSettings, on events: EventLoop, onEvent: @escaping (PeerEvent) -> Void,
    onWarning: @escaping (String) -> Void
  ) {
    own = settings.orchestration
    own.deviceID = settings.deviceID
    ownMessage = PeerMessage.orchestration(own).encoded()
    book = PeerBook(limit: settings.peerInformation)
    self.events = events
    self.onEvent = onEvent
    self.onWarning = onWarning
  }

  /// Whether the network is so small that everybody's information is wanted.
  var wantsAll: Bool {
    guard let peers = messenger?.peers else { return false }
    return !peers.isPartial && peers.peers.count <= book.limit
  }

  /// The record of a peer that the relay lists.
  func listed(_ peer: Peer) -> PeerRecord? {
    messenger?.peers.peers[peer.address] == peer ? book.record(of: peer) : nil
  }

  /// What is known of a peer.
  func status(of peer: Peer) -> PeerStatus {
    var status = PeerStatus(peer)
    status.objection = messenger?.objection(to: peer)
    guard let record = book[peer.address], record.peer == peer else { return status }
    status.roundTrip = record.roundTrip
    status.lastProof = record.lastProof
    status.isSilent = record.isSilent
    status.orchestration = record.orchestration
    return status
  }

  // MARK: What changes

  /// The relay has said who is there.
  func update(_ news: [PeerEvent], isComplete: Bool) {
    for case .left(let peer) in news { remove(peer) }
    for case .joined(let peer) in news {
      // Who is back has what it had told before; whether that still holds, it is asked.
      let record = book.record(of: peer)
      guard let information = record.orchestration else { continue }
      record.mustAsk = true
      onEvent(.changed(peer, information))
      enqueue(record)
    }
    guard isComplete else { return }
    if isPaused {
      isPaused = false
      // Peers that have missed this device meanwhile have forgotten that it wants to hear of changes.
      for record in book.records.values where record.orchestration != nil { record.mustAsk = true }
      retryAll()
    }
    if wantsAll, let messenger {
      for peer in messenger.peers.peers.values {
        let record = book.record(of: peer)
        guard record.orchestration == nil, !record.mustAsk else { continue }
        record.mustAsk = true
        enqueue(record, after: messenger.goesFirst(before: peer) ? .zero : Self.deference)
      }
    }
    for case .joined(let peer) in news { isLocated(peer) }
    startNext()
  }

  private func remove(_ peer: Peer) {
    guard let record = book.remove(peer) else { return }
    if record.isActive { active -= 1 }
    if record.turn == .waiting { waiting.removeAll { $0 == peer.address } }
    record.turn = .none
    isGone(peer.address)
  }

  /// There is no connection to the relay: what is under way will not be answered.
  func pause() {
    isPaused = true
    waiting = []
    urgent = []
    active = 0
    for record in book.records.values {
      record.turn = .none
      record.isUrgent = false
    }
    endPings(.noRelay)
  }

  /// What did not work before may now.
  func retryAll() {
    for record in book.records.values {
      record.failures = 0
      if case .resting = record.turn { record.turn = .none }
      enqueue(record)
    }
    startNext()
  }

  /// Of so many peers the information is kept from now on.
  func setLimit(_ limit: Int) {
    book.limit = limit
    update([], isComplete: !isPaused)
  }

  /// This device tells something else of itself from now on.
  func announce(_ information: Orchestration) {
    var new = information
    new.deviceID = own.deviceID
    new.revision = own.revision
    guard new != own else { return }
    new.revision += 1
    let message = PeerMessage.orchestration(new).encoded()
    if let problem = new.problem ?? (message.count > PeerMessage.maximumSize ? "it is too long" : nil) {
      return onWarning(
        "what this device is to tell its peers of itself cannot be told (\(problem)); they keep what they have")
    }
    own = new
    ownMessage = message
    guard !isPushDue else { return }
    let wait = lastPush.map { Self.pushInterval - Instant.now().since($0) } ?? .zero
    guard wait > .zero else { return push() }
    isPushDue = true
    events.schedule(after: wait) { [weak self] in self?.push() }
  }

  private func push() {
    isPushDue = false
    lastPush = .now()
    for record in book.records.values { enqueue(record) }
    startNext()
  }

  // MARK: Turns

  /// Whether there is something to be said to the peer.
  private func isDue(_ record: PeerRecord) -> Bool { record.mustAsk || isOutdated(record) }

  /// Whether the peer wants to have what this device tells of itself, and has something older.
  private func isOutdated(_ record: PeerRecord) -> Bool {
    record.isInformed && record.revision < own.revision && !isPushDue
  }

  /// Gives the peer a turn, if there is something to be said to it.
  func enqueue(_ record: PeerRecord, after delay: Duration = .zero, isUrgent: Bool = false) {
    guard isDue(record) else { return }
    switch record.turn {
    case .active:
      return transmit(record)
    case .resting where !isUrgent:
      return
    case .waiting where !isUrgent:
      return
    case .none where delay > .zero:
      return rest(record, for: delay)
    case .none, .resting, .waiting:
      guard !isPaused else { return }
      record.turn = .waiting
      if !isUrgent {
        waiting.append(record.peer.address)
      } else if !record.isUrgent {
        record.isUrgent = true
        urgent.append(record.peer.address)
      }
    }
  }

  private func rest(_ record: PeerRecord, for time: Duration) {
    lastTurn += 1
    let turn = PeerRecord.Turn.resting(lastTurn)
    record.turn = turn
    events.schedule(after: time) { [weak self, weak record] in
      guard let self, let record, record.turn == turn else { return }
      record.turn = .none
      self.enqueue(record)
      self.startNext()
    }
  }

  func startNext() {
    guard !isStarting, !isPaused, messenger?.isConnected == true else { return }
    isStarting = true
    defer { isStarting = false }
    while let address = next() {
      guard let record = book[address], record.turn == .waiting else { continue }
      record.turn = .none
      // The network may have grown since.
      if !record.isNeeded, !wantsAll, record.orchestration == nil { record.mustAsk = false }
      if isDue(record) { begin(record) }
    }
  }

  /// In no order, so that not everybody asks the same at the same time.
  private func next() -> IPv4Address? {
    if active < Self.urgentPlaces, let address = urgent.popFirst() {
      book[address]?.isUrgent = false
      return address
    }
    guard active < Self.places, !waiting.isEmpty else { return nil }
    waiting.swapAt(.random(in: waiting.indices), waiting.count - 1)
    return waiting.removeLast()
  }

  private func begin(_ record: PeerRecord) {
    guard let messenger else { return }
    lastTurn += 1
    let turn = PeerRecord.Turn.active(lastTurn)
    record.turn = turn
    active += 1
    record.hasAsked = false
    record.sentRevision = nil
    guard messenger.objection(to: record.peer) == nil else { return fail(record) }
    events.schedule(after: Self.patience) { [weak self, weak record] in
      guard let self, let record, record.turn == turn else { return }
      self.fail(record)
    }
    if messenger.openSession(with: record.peer) { transmit(record) }
  }

  /// Says what is to be said, once in a turn.
  private func transmit(_ record: PeerRecord) {
    guard let messenger else { return }
    if record.mustAsk, !record.hasAsked {
      record.hasAsked = messenger.send(
        PeerMessage.ask(have: record.orchestration?.revision).encoded(), to: record.peer)
      if record.hasAsked { counters.sent += 1 }
    }
    if isOutdated(record), record.sentRevision != own.revision, messenger.send(ownMessage, to: record.peer) {
      record.sentRevision = own.revision
      counters.sent += 1
    }
  }

  /// Says at once what is to be said: the session is there.
  func speak(_ record: PeerRecord) {
    guard isDue(record) else { return }
    if record.isActive { return transmit(record) }
    if record.turn == .waiting { waiting.removeAll { $0 == record.peer.address } }
    begin(record)
  }

  /// Ends the peer's turn if nothing is left to be said.
  func settle(_ record: PeerRecord) {
    guard !isDue(record) else { return }
    record.failures = 0
    if case .resting = record.turn { record.turn = .none }
    guard record.isActive else { return }
    record.turn = .none
    active -= 1
    startNext()
  }

  private func fail(_ record: PeerRecord) {
    record.turn = .none
    active -= 1
    record.failures += 1
    if !wantsAll { record.mustAsk = false }
    record.isNeeded = false
    if isDue(record) {
      let wait = min(Self.patience * (1 << min(record.failures - 1, 8)) as Duration, Self.longestRest)
      rest(record, for: .milliseconds(Int64(wait.seconds * .random(in: 750...1250))))
    }
    isDone(record.peer.address)
    startNext()
  }

  // MARK: Sessions

  /// A session is there, begun by either.
  func sessionIsReady(with peer: Peer) {
    guard let record = listed(peer) else { return }
    let now = Instant.now()
    record.prove(at: now)
    // The peer may have been started anew, and have other things to tell.
    if record.orchestration != nil, !record.hasAnswered(lately: now) { record.mustAsk = true }
    record.hasAsked = false
    record.sentRevision = nil
    speak(record)
    echoAll(to: record, at: now)
    echoIfDue(to: record, at: now)
  }

  /// The peer does not answer handshakes.
  func sessionHasFailed(with peer: Peer) {
    guard let record = book[peer.address], record.peer == peer else { return }
    record.isSilent = true
    isMute(peer.address)
    if record.isActive { fail(record) }
  }

  /// Packets go to the peer, or come from it.
  func sessionIsInUse(with peer: Peer) {
    guard let record = listed(peer) else { return }
    if record.orchestration == nil, !record.mustAsk {
      record.mustAsk = true
      record.isNeeded = true
      speak(record)
    } else {
      book.touch(record)
    }
    echoIfDue(to: record, at: .now())
  }
}

/// What has been said with peers.
public struct PeerMessageCounters: Sendable, Equatable {
  public var received = 0
  public var sent = 0
  /// Dropped: too long, no message, or what cannot be.
  public var refused = 0
  /// Dropped or not answered: more than is decent.
  public var limited = 0
}
