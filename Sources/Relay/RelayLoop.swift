internal import Link
internal import Logging
internal import Synchronization
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One of the relay's threads, with the sessions that belong to it.
final class RelayLoop: @unchecked Sendable {
  // Set once.
  let events: EventLoop
  let bounds: RelayBounds
  let presence: Presence
  let admission: AdmissionController
  let keys: RelayKeys
  let logger: Logger
  private let live: LiveSettings
  private let onChange: @Sendable () -> Void

  // For any thread.
  private let connections = Atomic<Int>(0)

  // Owned by the loop's thread.
  let memory = ReceiveMemory()
  let forwarder: Forwarder
  private(set) var sessions: [ObjectIdentifier: Session] = [:]
  /// Those of them that have not joined. A flood of connections that never do must not keep those out that do: the worst gives
  /// way, since an honest device is through within a few round trips.
  private var unauthenticated = UnauthenticatedSessions<Session>()
  /// How often each address may begin a handshake, which costs the relay a fraction of a millisecond. A whole site may be
  /// behind one address, and all of it comes back at once.
  private var greetings = SourceLimits(perSecond: 500, burst: 4000)
  private(set) var counters = RelayCounters()
  /// What the sessions that have ended had carried.
  private var ended = LinkTotals()
  private var looks = KeepaliveSchedule<Session>()
  /// When it was noticed the last time that nobody could look after the sessions for long.
  private var lastAbsence = Instant(nanoseconds: 0)
  private var lines = RateLimit(perSecond: 1, burst: 20)
  private var comings = RateLimit(perSecond: 5, burst: 300)
  private var memoryLines = RateLimit(perSecond: 1.0 / 60, burst: 1)
  private var knownRefusals = 0
  /// While the relay drains.
  var draining: LoopDrain?
  private var isEnding = false

  /// `onChange` is called, on any thread, when somebody has joined or left.
  init(
    _ events: EventLoop, _ bounds: RelayBounds, settings live: LiveSettings, presence: Presence,
    admission: AdmissionController,
    logger: Logger, onChange: @escaping @Sendable () -> Void
  ) {
    self.events = events
    self.bounds = bounds
    self.live = live
    self.presence = presence
    self.admission = admission
    keys = live.now.keys
    self.logger = logger
    self.onChange = onChange
    forwarder = Forwarder(presence.forwardingTable)
  }

  /// How many connections it has. From any thread.
  var load: Int { connections.load(ordering: .relaxed) }

  /// Takes a new connection over. From any thread.
  func adopt(_ descriptor: consuming Descriptor, from origin: ConnectionOrigin) {
    let settings = live.now
    let connection = FrameConnection(
      descriptor, loop: events, queueLimit: settings.queueLimit, memory: bounds.sendMemory,
      choosesCongestionControl: settings.choosesCongestionControl)
    let session = Session(connection, origin: origin, loop: self)
    connections.add(1, ordering: .relaxed)
    events.post { [self] in
      sessions[ObjectIdentifier(session)] = session
      session.lookPlace = looks.add(session)
      if draining != nil { return session.end(drainRefusal) }
      unauthenticated.add(session, from: session.origin.host)
      if unauthenticated.count > live.now.maximumUnauthenticated { unauthenticated.worst?.giveWay() }
      do {
        try connection.attach(session)
      } catch {
        limited { $0.error("\(origin.name): cannot be served: \(error)") }
        forget(session)
      }
    }
  }

  func forget(_ session: Session) {
    if sessions.removeValue(forKey: ObjectIdentifier(session)) != nil {
      connections.subtract(1, ordering: .relaxed)
      if let place = session.lookPlace { looks.remove(at: place) }
      session.lookPlace = nil
    }
    unauthenticated.remove(session, from: session.origin.host)
    hasAnswered(session)
  }

  /// The session has joined, or waits for an operator.
  func welcome(_ session: Session) {
    unauthenticated.remove(session, from: session.origin.host)
  }

  /// Ends some connections that have not joined in the time that an honest device needs, so that others find a place. From any
  /// thread.
  func makeRoom() {
    events.post { [self] in
      let limit = Instant.now()
      for _ in 0..<RelaySettings.evictedAtOnce {
        guard let worst = unauthenticated.worst, limit.since(worst.since) >= RelaySettings.patience else { return }
        worst.giveWay()
      }
    }
  }

  /// Whether one more handshake may be begun from there.
  func mayGreet(_ origin: ConnectionOrigin) -> Bool {
    origin.isRelayHost || greetings.allow(origin.host, at: .now())
  }

  /// Counts a session that has begun.
  func joined() {
    counters.joins += 1
  }

  /// Counts a session that ends, and keeps what its connection has carried.
  func left(_ connection: FrameConnection) {
    counters.leaves += 1
    ended.add(connection)
  }

  /// What the sessions of devices have carried. All at one time: a session that ended meanwhile would be missing, and what is
  /// said to only ever rise would fall.
  var totals: LinkTotals {
    sessions.values.reduce(into: ended) { totals, session in
      if session.hasJoined { totals.add(session.connection) }
    }
  }

  /// Counts a device that was not let in.
  func refused(_ code: Refusal.Code) {
    counters.refused[code.rawValue, default: 0] += 1
  }

  /// Counts a connection that was closed for what it sent.
  func broken(_ problem: WireError) {
    if case .notAuthentic = problem { counters.notAuthentic += 1 } else { counters.malformed += 1 }
  }

  func announce() {
    // Who is told of the end need not hear of everybody else's.
    if !isEnding { onChange() }
  }

  /// Looks after those sessions for which it is time, from now on.
  func startChecking() {
    checkLater(lastLook: .now(), terms: terms)
  }

  private var terms: KeepaliveTerms {
    let live = live.now
    return KeepaliveTerms(base: live.keepalive, idle: live.idleKeepalive)
  }

  /// The next step of a round, so that a round takes `checkInterval`; `lastLook` is when the last step was to be.
  private func checkLater(lastLook: Instant, terms former: KeepaliveTerms) {
    let planned = lastLook.advanced(by: former.checkInterval / looks.steps)
    events.schedule(after: planned.since(.now())) { [self] in
      let (now, terms) = (Instant.now(), terms)
      // The whole process was stopped, or the host slept: everybody may have said something that nobody has read yet.
      if terms.isAbsence(now.since(planned)) { lastAbsence = now }
      if lastAbsence == now || terms != former { looks.setAll() }
      for session in looks.takeDue(at: now) {
        let next = session.check(at: now, wasAway: session.lastLook < lastAbsence, terms)
        session.lastLook = now
        if let place = session.lookPlace { looks.set(next, at: place) }
      }
      forwarder.refresh()
      checkMemory()
      // Steps that are late are made up for, but not all at once.
      checkLater(lastLook: max(planned, Instant(nanoseconds: now.nanoseconds - 50_000_000)), terms: terms)
    }
  }

  /// Has a session looked after soon.
  func lookSoon(_ session: Session) {
    if let place = session.lookPlace { looks.set(Instant(nanoseconds: 0), at: place) }
  }

  /// Changes how many bytes may wait for each destination. From any thread.
  func setQueueLimit(_ limit: Int) {
    events.post { [self] in
      for session in sessions.values { session.connection.setQueueLimit(limit) }
    }
  }

  /// Says now and then that the send queues want more memory than they may have.
  private func checkMemory() {
    let memory = bounds.sendMemory
    let refusals = memory.refusals
    guard refusals != knownRefusals else { return }
    knownRefusals = refusals
    guard memoryLines.allow(at: .now()) else { return }
    logger.warning(
      """
      so much waits for devices that do not take it that data is dropped: \(memory.used >> 10) of \(memory.limit >> 10) KiB \
      are in use; if there is memory to spare, raise relay.memory
      """, metadata: ["subject": "memory"])
  }

  /// Ends every session with a last word, then the loop. From any thread.
  func stop(_ refusal: Refusal) {
    events.post { [self] in
      isEnding = true
      for session in sessions.values { session.end(refusal) }
      // What the sessions have posted comes before this.
      events.stop()
    }
  }

  /// Logs what a stranger can cause, so not as often as strangers like.
  func limited(_ log: (Logger) -> Void) {
    Self.log(log, to: logger, &lines)
  }

  /// Logs that a device has come or gone, which it may do as often as it likes.
  func limitedComing(_ log: (Logger) -> Void) {
    Self.log(log, to: logger, &comings)
  }

  private static func log(_ log: (Logger) -> Void, to logger: Logger, _ limit: inout RateLimit) {
    let suppressed = limit.suppressed
    guard limit.allow(at: .now()) else { return }
    if suppressed > 0 { logger.notice("\(suppressed) lines like the next are left out") }
    log(logger)
  }
}
