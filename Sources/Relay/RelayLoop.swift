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
  let live: LiveSettings
  private let onChange: @Sendable () -> Void

  // For any thread.
  private let connections = Atomic<Int>(0)

  // Owned by the loop's thread.
  let memory = ReceiveMemory()
  let forwarder: Forwarder
  private(set) var sessions: [ObjectIdentifier: Session] = [:]
  /// The sessions that have not joined. When there are too many, the worst is evicted, since an honest device joins
  /// within a few round trips. So a flood of connections keeps no device out.
  private var unauthenticated = UnauthenticatedSessions<Session>()
  /// Limits handshakes by source address; each takes a fraction of a millisecond. A whole site may be behind one
  /// address, and reconnect at once.
  private var greetings = SourceLimits(perSecond: 500, burst: 4000)
  private(set) var counters = RelayCounters()
  /// Traffic of the sessions that have ended.
  private var ended = LinkTotals()
  private var schedule = KeepaliveSchedule<Session>()
  /// When the loop last noticed that the process had been stopped or the host asleep.
  private var lastAbsence = Instant(nanoseconds: 0)
  private var lines = RateLimit(perSecond: 1, burst: 20)
  private var joinLines = RateLimit(perSecond: 5, burst: 300)
  private var memoryLines = RateLimit(perSecond: 1.0 / 60, burst: 1)
  private var knownRefusals = 0
  /// Set while the relay drains.
  var draining: LoopDrain?
  private var isEnding = false

  /// `onChange` is called, on any thread, when a device has joined or left.
  init(
    _ events: EventLoop, _ bounds: RelayBounds, settings live: LiveSettings, presence: Presence,
    admission: AdmissionController, logger: Logger, onChange: @escaping @Sendable () -> Void
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

  /// The number of connections. From any thread.
  var load: Int { connections.load(ordering: .relaxed) }

  /// Serves a new connection. From any thread.
  func adopt(_ descriptor: consuming Descriptor, from origin: ConnectionOrigin) {
    let settings = live.now
    let connection = FrameConnection(
      descriptor, loop: events, queueLimit: settings.reloadable.queueLimit, memory: bounds.sendMemory,
      choosesCongestionControl: settings.choosesCongestionControl)
    let session = Session(connection, origin: origin, loop: self)
    connections.add(1, ordering: .relaxed)
    events.post { [self] in
      sessions[ObjectIdentifier(session)] = session
      session.schedulePlace = schedule.add(session)
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
      if let place = session.schedulePlace { schedule.remove(at: place) }
      session.schedulePlace = nil
    }
    unauthenticated.remove(session, from: session.origin.host)
    hasAnswered(session)
  }

  /// The session has joined, or waits for an operator.
  func welcome(_ session: Session) {
    unauthenticated.remove(session, from: session.origin.host)
  }

  /// Evicts some sessions that have not joined in the time that an honest device needs. From any thread.
  func makeRoom() {
    events.post { [self] in
      let limit = Instant.now()
      for _ in 0..<RelaySettings.evictedAtOnce {
        guard let worst = unauthenticated.worst, limit.since(worst.since) >= RelaySettings.patience else { return }
        worst.giveWay()
      }
    }
  }

  /// Whether another handshake may begin from this origin.
  func mayGreet(_ origin: ConnectionOrigin) -> Bool {
    origin.isRelayHost || greetings.allow(origin.host, at: .now())
  }

  /// Counts a session that has joined.
  func joined() {
    counters.joins += 1
  }

  /// Counts a joined session that ends, and adds its traffic to the totals.
  func left(_ connection: FrameConnection) {
    counters.leaves += 1
    ended.add(connection)
  }

  /// Traffic of all sessions of devices. Summed in one turn, so that no session ends meanwhile and the totals never
  /// fall.
  var totals: LinkTotals {
    sessions.values.reduce(into: ended) { totals, session in
      if session.hasJoined { totals.add(session.connection) }
    }
  }

  /// Counts a refused device.
  func refused(_ code: Refusal.Code) {
    counters.refused[code.rawValue, default: 0] += 1
  }

  /// Counts a connection that was closed because of what it sent.
  func broken(_ problem: WireError) {
    if case .notAuthentic = problem { counters.notAuthentic += 1 } else { counters.malformed += 1 }
  }

  func announce() {
    // Devices whose sessions are about to end need no updates about each other.
    if !isEnding { onChange() }
  }

  /// Checks keepalives from now on.
  func startChecking() {
    checkLater(lastCheck: .now(), terms: terms)
  }

  private var terms: KeepaliveTerms {
    let live = live.now.reloadable
    return KeepaliveTerms(base: live.keepalive, idle: live.idleKeepalive)
  }

  /// Schedules the next step of a round, which takes `checkInterval`; `lastCheck` is when the last step was due.
  private func checkLater(lastCheck: Instant, terms former: KeepaliveTerms) {
    let planned = lastCheck.advanced(by: former.checkInterval / schedule.steps)
    events.schedule(after: planned.since(.now())) { [self] in
      let (now, terms) = (Instant.now(), terms)
      // The process was stopped, or the host slept, so the sockets may hold unread frames of every session.
      if terms.isAbsence(now.since(planned)) { lastAbsence = now }
      if lastAbsence == now || terms != former { schedule.setAll() }
      for session in schedule.takeDue(at: now) {
        let next = session.check(at: now, wasAway: session.lastCheck < lastAbsence, terms)
        session.lastCheck = now
        if let place = session.schedulePlace { schedule.set(next, at: place) }
      }
      forwarder.refresh()
      checkMemory()
      // Late steps follow each other faster, but not all at once.
      checkLater(lastCheck: max(planned, Instant(nanoseconds: now.nanoseconds - 50_000_000)), terms: terms)
    }
  }

  /// Checks a session soon.
  func checkSoon(_ session: Session) {
    if let place = session.schedulePlace { schedule.set(Instant(nanoseconds: 0), at: place) }
  }

  /// Limits the bytes that may wait for each destination. From any thread.
  func setQueueLimit(_ limit: Int) {
    events.post { [self] in
      for session in sessions.values { session.connection.setQueueLimit(limit) }
    }
  }

  /// Logs, at a limited rate, that the send queues have reached their memory limit.
  private func checkMemory() {
    let memory = bounds.sendMemory
    let refusals = memory.refusals
    guard refusals != knownRefusals else { return }
    knownRefusals = refusals
    guard memoryLines.allow(at: .now()) else { return }
    logger.warning(
      """
      devices read too slowly, so the relay drops data for them: the send queues use \(memory.used >> 10) of \
      \(memory.limit >> 10) KiB; if there is memory to spare, raise relay.memory
      """, metadata: ["subject": "memory"])
  }

  /// Ends every session with a refusal, then the loop. From any thread.
  func stop(_ refusal: Refusal) {
    events.post { [self] in
      isEnding = true
      for session in sessions.values { session.end(refusal) }
      // After what the sessions have posted.
      events.stop()
    }
  }

  /// Logs what unauthenticated connections can cause, at a limited rate.
  func limited(_ log: (Logger) -> Void) {
    Self.log(log, to: logger, &lines)
  }

  /// Logs that a device has joined or left, at a limited rate.
  func limitedJoin(_ log: (Logger) -> Void) {
    Self.log(log, to: logger, &joinLines)
  }

  private static func log(_ log: (Logger) -> Void, to logger: Logger, _ limit: inout RateLimit) {
    let suppressed = limit.suppressed
    guard limit.allow(at: .now()) else { return }
    if suppressed > 0 { logger.notice("\(suppressed) lines like the next are left out") }
    log(logger)
  }
}
