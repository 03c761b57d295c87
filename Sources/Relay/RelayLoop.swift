internal import Link
internal import Logging
internal import SystemIO
internal import SystemPackage
internal import Wire

/// One of the relay's threads, with the sessions that belong to it.
final class RelayLoop: @unchecked Sendable {
  // Set once.
  let events: EventLoop
  let registry: Registry
  let logger: Logger
  private let settings: RelaySettings
  private let onChange: @Sendable () -> Void

  // Owned by the loop's thread.
  let memory = ReceiveMemory()
  let forwarder: Forwarder
  private(set) var sessions: [ObjectIdentifier: Session] = [:]
  /// Those of them that have not joined.
  private var strangers: [ObjectIdentifier: Session] = [:]
  private var lines = RateLimit(perSecond: 1, burst: 20)

  /// `onChange` is called, on any thread, when somebody has joined or left.
  init(
    _ events: EventLoop, settings: RelaySettings, registry: Registry, logger: Logger,
    onChange: @escaping @Sendable () -> Void
  ) {
    self.events = events
    self.settings = settings
    self.registry = registry
    self.logger = logger
    self.onChange = onChange
    forwarder = Forwarder(registry.directory)
  }

  /// Takes a new connection over. From any thread.
  func adopt(_ descriptor: consuming Descriptor, peerName: String, isRelayHost: Bool = false) {
    let connection = FrameConnection(descriptor, loop: events, queueLimit: settings.queueLimit)
    let session = Session(connection, peerName: peerName, isRelayHost: isRelayHost, loop: self)
    events.post { [self] in
      sessions[ObjectIdentifier(session)] = session
      strangers[ObjectIdentifier(session)] = session
      makeRoomForStrangers()
      do {
        try connection.attach(session)
      } catch {
        limited { $0.error("\(peerName): cannot be served: \(error)") }
        forget(session)
      }
    }
  }

  func forget(_ session: Session) {
    sessions[ObjectIdentifier(session)] = nil
    strangers[ObjectIdentifier(session)] = nil
  }

  /// The session has joined.
  func welcome(_ session: Session) {
    strangers[ObjectIdentifier(session)] = nil
  }

  /// A flood of connections that never join must not keep those out that do: who has been about to join for longest gives
  /// way, since an honest device is through within a few round trips.
  private func makeRoomForStrangers() {
    guard strangers.count > RelaySettings.maximumStrangers else { return }
    strangers.values.min { $0.since < $1.since }?.giveWay()
  }

  func announce() {
    onChange()
  }

  /// Looks after all sessions now and then, from now on.
  func startChecking() {
    let interval = min(settings.keepalive / 2, .seconds(1))
    events.schedule(after: interval) { [self] in
      let now = Instant.now()
      for session in Array(sessions.values) { session.check(at: now, keepalive: settings.keepalive) }
      forwarder.refresh()
      startChecking()
    }
  }

  /// Ends every session with a last word, then the loop. From any thread.
  func stop(_ refusal: Refusal) {
    events.post { [self] in
      for session in sessions.values { session.end(refusal) }
      // What the sessions have posted comes before this.
      events.stop()
    }
  }

  /// Logs what a stranger can cause, so not as often as strangers like.
  func limited(_ log: (Logger) -> Void) {
    let suppressed = lines.suppressed
    guard lines.allow(at: .now()) else { return }
    if suppressed > 0 { logger.notice("\(suppressed) lines like the next are left out") }
    log(logger)
  }
}
