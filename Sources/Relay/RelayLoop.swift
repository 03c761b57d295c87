internal import Link
internal import Logging
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One of the relay's threads, with the sessions that belong to it.
final class RelayLoop: @unchecked Sendable {
  // Set once.
  let events: EventLoop
  let bounds: RelayBounds
  let registry: Registry
  let desk: AdmissionDesk
  let keys: RelayKeys
  let logger: Logger
  private let live: LiveSettings
  private let onChange: @Sendable () -> Void

  // Owned by the loop's thread.
  let memory = ReceiveMemory()
  let forwarder: Forwarder
  private(set) var sessions: [ObjectIdentifier: Session] = [:]
  /// Those of them that have not joined.
  private var strangers: [ObjectIdentifier: Session] = [:]
  /// How often each address may begin a handshake, which costs the relay a fraction of a millisecond. A whole site may be
  /// behind one address, and all of it comes back at once.
  private var greetings = SourceLimits(perSecond: 500, burst: 4000)
  private(set) var counters = RelayCounters()
  private var round = CheckRound()
  private var lines = RateLimit(perSecond: 1, burst: 20)
  private var comings = RateLimit(perSecond: 5, burst: 300)
  private var memoryLines = RateLimit(perSecond: 1.0 / 60, burst: 1)
  private var knownRefusals = 0
  /// While the relay drains.
  var draining: LoopDrain?
  private var isEnding = false

  /// `onChange` is called, on any thread, when somebody has joined or left.
  init(
    _ events: EventLoop, _ bounds: RelayBounds, settings live: LiveSettings, registry: Registry, desk: AdmissionDesk,
    logger: Logger, onChange: @escaping @Sendable () -> Void
  ) {
    self.events = events
    self.bounds = bounds
    self.live = live
    self.registry = registry
    self.desk = desk
    keys = live.now.keys
    self.logger = logger
    self.onChange = onChange
    forwarder = Forwarder(registry.directory)
  }

  /// Takes a new connection over. From any thread.
  func adopt(_ descriptor: consuming Descriptor, from origin: Origin) {
    let connection = FrameConnection(
      descriptor, loop: events, queueLimit: live.now.queueLimit, memory: bounds.sendMemory)
    let session = Session(connection, origin: origin, loop: self)
    events.post { [self] in
      sessions[ObjectIdentifier(session)] = session
      if draining != nil { return session.end(drainRefusal) }
      strangers[ObjectIdentifier(session)] = session
      makeRoomForStrangers()
      do {
        try connection.attach(session)
      } catch {
        limited { $0.error("\(origin.name): cannot be served: \(error)") }
        forget(session)
      }
    }
  }

  func forget(_ session: Session) {
    sessions[ObjectIdentifier(session)] = nil
    strangers[ObjectIdentifier(session)] = nil
    hasAnswered(session)
  }

  /// The session has joined, or waits for an operator.
  func welcome(_ session: Session) {
    strangers[ObjectIdentifier(session)] = nil
  }

  /// A flood of connections that never join must not keep those out that do: of the address that most of them come from, the
  /// one that has been about to join for longest gives way, since an honest device is through within a few round trips.
  private func makeRoomForStrangers() {
    guard strangers.count > live.now.maximumStrangers else { return }
    sendStrangerAway()
  }

  /// Ends some connections that have not joined in the time that an honest device needs, so that others find a place. From any
  /// thread.
  func makeRoom() {
    events.post { [self] in
      for _ in 0..<RelaySettings.strangersAtOnce { sendStrangerAway(after: RelaySettings.patience) }
    }
  }

  /// Ends one that has been about to join for at least `time`, if there is one.
  private func sendStrangerAway(after time: Duration = .zero) {
    let now = Instant.now()
    let strangers = strangers.values.filter { now.since($0.since) >= time }
    var counts: [String: Int] = [:]
    for session in strangers { counts[session.origin.host, default: 0] += 1 }
    let worst = counts.values.max()
    strangers.filter { counts[$0.origin.host] == worst }.min { $0.since < $1.since }?.giveWay()
  }

  /// Whether one more handshake may be begun from there.
  func mayGreet(_ origin: Origin) -> Bool {
    origin.isRelayHost || greetings.allow(origin.host, at: .now())
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

  /// Looks after all sessions now and then, from now on.
  func startChecking() {
    let terms = KeepaliveTerms(base: live.now.keepalive, idle: live.now.idleKeepalive)
    events.schedule(after: terms.checkInterval / round.steps) { [self] in
      let now = Instant.now()
      for session in round.next(of: sessions) { session.check(at: now, terms) }
      forwarder.refresh()
      checkMemory()
      startChecking()
    }
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
      """)
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
