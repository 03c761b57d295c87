// What devices tell each other of themselves, and when:
//
//   a peer joins              → it is to be asked, and waits in the queue for its turn
//   its turn comes            → a session begins if there is none; `ask` is sent, and what the peer is to be told
//   the answer comes          → the turn ends; the peer asks back in the same session
//   this device has changed   → all peers that have asked get a turn, until they confirm the new revision
//
// Everything to be sent follows from the records, so nothing else is kept for a peer that cannot be reached: its turn
// ends, and comes again later.

internal import SystemIO
internal import Wire

/// The sessions that messages go by: `PeerLinks`, or a test. Called on the device's thread.
protocol PeerMessenger: AnyObject {
  /// Whether there is a connection to the relay.
  var isConnected: Bool { get }
  /// Of two handshakes that begin at once, whether this device's counts.
  func goesFirst(before peer: Peer) -> Bool
  func objection(to peer: Peer) -> String?
  /// Whether there is a session. If not, a handshake begins, and `sessionIsReady` or `sessionHasFailed` follows.
  func openSession(with state: PeerState) -> Bool
  /// False: there is no session.
  func send(_ message: [UInt8], to state: PeerState) -> Bool
}

/// The exchange of messages with peers: questions, answers, echoes. Owned by the device's thread.
package final class PeerExchange {
  // Set once.
  let neighbourhood: Neighbourhood
  let messenger: any PeerMessenger
  let events: EventLoop
  let onEvent: (PeerEvent) -> Void
  let onWarning: (String) -> Void
  /// Called with the addresses at which a peer may take direct connections.
  var onCandidates: (([String], PeerState) -> Void)?

  /// What this device tells of itself, and the message that does.
  private(set) var own: Orchestration
  private(set) var ownMessage: [UInt8]
  private var lastPush: Instant?
  private var isPushDue = false

  var cache: OrchestrationCache
  var counters = PeerMessageCounters()
  var warnings = RateLimit(perSecond: 1, burst: 10)
  /// Bytes of messages that are read, of all peers together.
  var reading = RateLimit(perSecond: 1_000_000, burst: 8_000_000)
  var pings: [Int: Ping] = [:]
  var fetches: [Int: Fetch] = [:]
  var lastFetch = 0

  // The queue of turns.
  private var waiting: [IPv4Address] = []
  /// Peers that a fetch waits for, in order.
  private var urgent: ArraySlice<IPv4Address> = []
  private var active = 0
  private var lastTurn = 0
  private var isStarting = false
  /// Whether there is no connection, or the relay has not listed all peers on it yet.
  private var isPaused = true

  /// Turns at a time; a few more for peers that a fetch waits for.
  static let turns = 16
  static let urgentTurns = 32
  /// How long a turn may take. The next one comes after as long, doubled each time up to the last.
  static let patience = Duration.seconds(5)
  static let longestRest = Duration.seconds(300)
  /// How long a device leaves the initiative to a peer whose handshake would count if both began.
  private static let deference = Duration.seconds(2)
  /// The shortest time between two pushes of changes.
  private static let pushInterval = Duration.seconds(1)

  init(
    _ settings: DeviceSettings, _ neighbourhood: Neighbourhood, _ messenger: any PeerMessenger, on events: EventLoop,
    onEvent: @escaping (PeerEvent) -> Void, onWarning: @escaping (String) -> Void
  ) {
    self.neighbourhood = neighbourhood
    self.messenger = messenger
    own = settings.orchestration
    own.deviceID = settings.deviceID
    ownMessage = PeerMessage.orchestration(own).encoded()
    cache = OrchestrationCache(limit: settings.peerInformation)
    self.events = events
    self.onEvent = onEvent
    self.onWarning = onWarning
  }

  /// Whether the network is small enough to ask all peers.
  var wantsAll: Bool { !neighbourhood.isPartial && neighbourhood.listedCount <= cache.limit }

  private var records: some Sequence<PeerRecord> { neighbourhood.peers.values.lazy.compactMap(\.record) }

  /// The record of a peer that the relay lists.
  func listedRecord(of state: PeerState) -> PeerRecord? { state.isListed ? cache.record(of: state) : nil }

  // MARK: Changes

  /// The relay has told of peers.
  func update(_ changes: [PeerChange], isComplete: Bool) {
    for case .left(let state) in changes { remove(state) }
    for case .joined(let state) in changes {
      // What a returning peer has told may not hold any more.
      let record = cache.record(of: state)
      guard let information = record.orchestration else { continue }
      record.mustAsk = true
      onEvent(.changed(state.peer, information))
      enqueue(record)
    }
    guard isComplete else { return }
    if isPaused {
      isPaused = false
      // Peers that have missed this device have forgotten that it wants to hear of changes.
      for record in records where record.orchestration != nil { record.mustAsk = true }
      retryAll()
    }
    if wantsAll {
      for state in neighbourhood.listed {
        let record = cache.record(of: state)
        guard record.orchestration == nil, !record.mustAsk else { continue }
        record.mustAsk = true
        enqueue(record, after: messenger.goesFirst(before: state.peer) ? .zero : Self.deference)
      }
    }
    for case .joined(let state) in changes { isLocated(state) }
    startNext()
  }

  private func remove(_ state: PeerState) {
    guard let record = state.record else { return }
    if record.isActive { active -= 1 }
    if record.turn == .waiting { waiting.removeAll { $0 == state.address } }
    record.turn = .none
    cache.remove(record)
    state.path.forgetProof()
    neighbourhood.prune(state)
    isGone(state.address)
  }

  /// There is no connection to the relay: what is under way will not be answered.
  func pause() {
    isPaused = true
    waiting = []
    urgent = []
    active = 0
    for record in records {
      record.turn = .none
      record.isUrgent = false
    }
    endRelayedPings()
  }

  /// Something has changed that may let failed turns succeed.
  func retryAll() {
    for record in records {
      record.failures = 0
      if case .resting = record.turn { record.turn = .none }
      enqueue(record)
    }
    startNext()
  }

  /// Sets of how many peers the information is kept.
  func setLimit(_ limit: Int) {
    cache.limit = limit
    update([], isComplete: !isPaused)
  }

  /// Sets what this device tells of itself.
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
    for record in records { enqueue(record) }
    startNext()
  }

  // MARK: Turns

  /// Whether there is something to be sent to the peer.
  private func isDue(_ record: PeerRecord) -> Bool { record.mustAsk || isOutdated(record) }

  /// Whether the peer has asked for this device's information, and has an older revision.
  private func isOutdated(_ record: PeerRecord) -> Bool {
    record.isSubscribed && record.revision < own.revision && !isPushDue
  }

  /// Queues the peer for a turn, if there is something to be sent.
  func enqueue(_ record: PeerRecord, after delay: Duration = .zero, isUrgent: Bool = false) {
    guard isDue(record) else { return }
    switch record.turn {
    case .active:
      return transmit(record)
    case .resting where !isUrgent, .waiting where !isUrgent:
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
    guard !isStarting, !isPaused, messenger.isConnected else { return }
    isStarting = true
    defer { isStarting = false }
    while let address = next() {
      guard let record = neighbourhood.peers[address]?.record, record.turn == .waiting else { continue }
      record.turn = .none
      // The network may have grown since.
      if !record.isNeeded, !wantsAll, record.orchestration == nil { record.mustAsk = false }
      if isDue(record) { begin(record) }
    }
  }

  /// In random order, so that not all devices ask the same peer at the same time.
  private func next() -> IPv4Address? {
    if active < Self.urgentTurns, let address = urgent.popFirst() {
      neighbourhood.peers[address]?.record?.isUrgent = false
      return address
    }
    guard active < Self.turns, !waiting.isEmpty else { return nil }
    waiting.swapAt(.random(in: waiting.indices), waiting.count - 1)
    return waiting.removeLast()
  }

  private func begin(_ record: PeerRecord) {
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
    if messenger.openSession(with: record.state) { transmit(record) }
  }

  /// Sends what is to be sent, once in a turn.
  private func transmit(_ record: PeerRecord) {
    if record.mustAsk, !record.hasAsked {
      record.hasAsked = send(.ask(have: record.orchestration?.revision), to: record)
    }
    if isOutdated(record), record.sentRevision != own.revision, send(ownMessage, to: record) {
      record.sentRevision = own.revision
    }
  }

  @discardableResult func send(_ message: PeerMessage, to record: PeerRecord) -> Bool {
    send(message.encoded(), to: record)
  }

  /// False: there is no session.
  @discardableResult func send(_ message: [UInt8], to record: PeerRecord) -> Bool {
    guard messenger.send(message, to: record.state) else { return false }
    counters.sent += 1
    return true
  }

  /// There is a session: sends at once what is to be sent.
  func speak(_ record: PeerRecord) {
    guard isDue(record) else { return }
    if record.isActive { return transmit(record) }
    if record.turn == .waiting { waiting.removeAll { $0 == record.peer.address } }
    begin(record)
  }

  /// Ends the peer's turn if nothing is left to be sent.
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

  /// There is a session, begun by either side.
  func sessionIsReady(with state: PeerState) {
    guard let record = listedRecord(of: state) else { return }
    let now = Instant.now()
    state.path.prove(at: now)
    // The peer may have been restarted, and tell something else.
    if record.orchestration != nil, !record.hasAnswered(lately: now) { record.mustAsk = true }
    record.hasAsked = false
    record.sentRevision = nil
    speak(record)
    proceed(to: state)
    echoIfDue(to: record, at: now)
  }

  /// The peer does not answer handshakes.
  func sessionHasFailed(with state: PeerState) {
    guard let record = state.record else { return }
    state.path.isSilent = true
    endPings(to: state.address, .silent)
    if record.isActive { fail(record) }
  }

  /// Packets go to the peer, or come from it.
  func sessionIsInUse(with state: PeerState) {
    guard let record = listedRecord(of: state) else { return }
    if record.orchestration == nil, !record.mustAsk {
      record.mustAsk = true
      record.isNeeded = true
      speak(record)
    } else {
      cache.touch(record)
    }
    echoIfDue(to: record, at: .now())
  }
}
