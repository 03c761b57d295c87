// SIGHUP never ends a daemon: it means reload, even when a closing terminal sends it.

public import CommandLine
public import Config
public import Control
public import Logging
internal import Metrics
public import SystemIO
internal import SystemPackage

/// The parts that both daemons share: the main thread's loop with signals, the local socket and the metrics server, the
/// log, reload and shutdown.
///
/// Everything but `stop`, `fail` and `warnLater` belongs to the main thread.
public final class Daemon: @unchecked Sendable {
  // Set once.
  public let program: String
  public let events: EventLoop
  public let output: LogOutput
  public let logger: Logger
  private let started = Instant.now()

  // Owned by the main thread.
  private lazy var startTime = StartTime(started)
  /// The log level of the configuration.
  private var configuredLevel: Settings.LogLevel
  private var signals: SignalSource?
  private var control: ControlServer?
  private var duties: Duties?
  private lazy var metrics = MetricsServer(on: events, logger: logger) { [unowned self] in
    duties?.reloading.inForce.metrics.listen = $0
  } collect: { [unowned self] in
    collectMetrics($0)
  }
  private var failure: Failure?
  private var isStopping = false
  private var isReady = false
  /// The files whose last write failed.
  private var failedWrites: Set<String> = []
  private let notifier: ServiceNotifier
  private var isReleaseDue = false
  private var lastRelease = Instant(nanoseconds: 0)

  /// The daemon's own parts of the requests.
  private struct Duties {
    let reloading: Reloading
    let handler: ControlServer.Handler
    let metrics: (_ peerLimit: Int, _ reply: @escaping @Sendable (MetricsReport) -> Void) -> Void
  }

  /// To be called on the main thread before there is any other thread, because it blocks the signals that end the
  /// daemon.
  public init(_ program: String, level: Settings.LogLevel) throws(Failure) {
    self.program = program
    configuredLevel = level
    do {
      output = try LogOutput(program: program, level: Logger.Level(level))
      logger = output.logger()
      events = try EventLoop()
      notifier = ServiceNotifier(program, on: events)
      signals = try SignalSource([.interrupt, .terminate, .hangup], on: events) { [weak self] signal in
        switch signal {
        case .hangup: self?.reload { _ in }
        case .interrupt: self?.stop("interrupted")
        case .terminate: self?.stop("told to terminate")
        case .windowChange: break
        }
      }
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
  }

  deinit {
    // A start that fails after `listen` leaves no socket behind.
    control?.stop()
  }

  // MARK: Sockets

  /// Throws if a daemon answers at `path`. Called before the daemon takes anything else that only one process can have,
  /// so that a second start fails for this reason. `listen` still decides.
  public static func checkIsFirst(at path: String) throws(Failure) {
    let deadline = Instant.now().advanced(by: .seconds(1))
    guard let socket = try? Descriptor.connected(toUnix: path, until: deadline),
      let peer = try? socket.peerCredentials()
    else { return }
    throw failure(.inUse(by: peer), path)
  }

  /// Opens the local socket for `heir`, the user that this process will become. The loop answers the requests.
  public func listen(at path: String, for heir: User? = nil) throws(Failure) {
    do {
      let onTrouble = { [logger] (error: Errno) in
        let advice = error == .tooManyOpenFiles ? "; raise its limit of open files (LimitNOFILE=, ulimit -n)" : ""
        logger.error("mnedc-ctl and mnedc-peers cannot be answered: \(error)\(advice)")
      }
      control = try ControlServer(path: path, for: heir, on: events, onTrouble: onTrouble) {
        [unowned self] command, answer in carryOut(command, answer)
      }
    } catch let error as UnixListenerError {
      throw Self.failure(error, path)
    } catch {
      throw Failure(.systemError, "cannot listen at \(path): \(error)")
    }
  }

  /// Serves metrics at these addresses from now on. Logs a warning about an address that it cannot have, and tries
  /// again.
  public func serveMetrics(at addresses: [ServerAddress]) {
    metrics.serve(at: addresses)
  }

  // MARK: Requests

  /// Sets what the daemon does at a request, a reload, and when its metrics are read. Called before `run`.
  ///
  /// `handler` gets the commands that the daemons carry out differently. `metrics` gives the daemon's metrics to
  /// `reply`, on any thread, with series of each peer for up to `peerLimit` of them.
  public func serve(
    _ reloading: Reloading, _ handler: @escaping ControlServer.Handler,
    metrics: @escaping (_ peerLimit: Int, _ reply: @escaping @Sendable (MetricsReport) -> Void) -> Void
  ) {
    reloading.inForce.metrics.listen = self.metrics.served
    duties = Duties(reloading: reloading, handler: handler, metrics: metrics)
  }

  private var whatToDo: Duties {
    guard let duties else { preconditionFailure("the loop runs only once the daemon knows its duties") }
    return duties
  }

  private func carryOut(_ command: ControlCommand, _ answer: @escaping @Sendable (ControlAnswer) -> Void) {
    releaseCodeSoon()
    if command.kind.daemons == .relay, whatToDo.reloading.role == .device {
      return answer(
        .failed(
          ControlError(
            .unsupported,
            "\(command.kind.typed) is for a relay, and this is a device; run it on the relay's host, and there with "
              + "--of relay if mnedc-join runs beside mnedcd")))
    }
    switch command {
    case .stop:
      answer(.done)
      stop("told to stop")
    case .reload: reload(answer)
    case .logLevel(let level): answer(setLogLevel(level))
    case .diagnostics: answer(.report(diagnostics()))
    case .metrics: collectMetrics { answer(.report($0)) }
    default: whatToDo.handler(command, answer)
    }
  }

  /// Sends the event to the subscribers at the local socket.
  public func publish(_ event: PeerEventReport) {
    control?.publish(event)
  }

  public var hasSubscribers: Bool { control?.hasSubscribers ?? false }

  /// Changes the settings in force after this program has written the file.
  public func updateSettingsInForce(_ body: (inout Settings) -> Void) {
    body(&whatToDo.reloading.inForce)
  }

  /// The settings in force and the latest log lines.
  private func diagnostics() -> DiagnosticsReport {
    DiagnosticsReport(
      configuration: whatToDo.reloading.inForce.withoutCommands.render(), log: output.recent.map { LogLineReport($0) })
  }

  /// Applies the log level of a reloaded configuration. A level that an operator has set stays unless the
  /// configuration's level has changed.
  private func configure(_ level: Settings.LogLevel) {
    guard level != configuredLevel else { return }
    configuredLevel = level
    output.level = Logger.Level(level)
  }

  private func setLogLevel(_ text: String?) -> ControlAnswer {
    if let text {
      guard let level = Settings.LogLevel(rawValue: text) else {
        let known = Settings.LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
        return .failed(ControlError(.badRequest, "level is one of \(known)"))
      }
      // At the lower of both levels, so that the line is shown if either level shows it.
      let (former, new) = (output.level, Logger.Level(level))
      output.level = min(former, new)
      logger.notice("the log level is \(new) from now on, was \(former)")
      output.level = new
    }
    return .report(LogLevelReport(level: "\(output.level)", configuredLevel: configuredLevel.rawValue))
  }

  /// Applies changes of the configuration file, or answers with its mistakes.
  private func reload(_ answer: (ControlAnswer) -> Void) {
    if isReady {
      notifyServiceManager("RELOADING=1\nMONOTONIC_USEC=\(Instant.now().nanoseconds / 1000)")
    }
    do {
      let report = try whatToDo.reloading.reload { [self] settings in
        configure(settings.logLevel)
        metrics.serve(at: settings.metrics.listen)
        settings.metrics.listen = metrics.served
      }
      for change in report.applied { logger.notice("reloaded: \(change.key) is \(change.new), was \(change.old)") }
      for change in report.needsRestart {
        logger.warning("\(change.key) stays \(change.old); a restart would make it \(change.new)")
      }
      if report.applied.isEmpty, report.needsRestart.isEmpty { logger.notice("reloaded: nothing has changed") }
      answer(.report(report))
    } catch {
      let why = (error as? Failure)?.message ?? "\(error)"
      for line in why.split(separator: "\n") { logger.error("not reloaded, nothing has changed: \(line)") }
      answer(.failed(ControlError(.badConfiguration, "\(why)\nnothing has changed")))
    }
    if isReady { notifier.tellReady() }
  }

  /// Tells the service manager that the daemon is ready, with its status line.
  public func becomeReady(_ status: String) {
    let isFirst = !isReady
    isReady = true
    notifier.tellReady(status)
    if isFirst { releaseCodeRegularly() }
    releaseCodeSoon()
  }

  /// Sends a new status line to the service manager.
  public func tell(_ status: String) {
    notifier.tell(status)
  }

  /// Begins to prove to the service manager that the daemon works. `proof` has each working thread call back in its
  /// turn, then calls `done` with the new status line, or with `nil` to keep the present one.
  public func prove(by proof: @escaping (_ done: @escaping @Sendable (_ status: String?) -> Void) -> Void) {
    notifier.begin(proof)
  }

  /// Most of the code that is resident after a start, a join or a request is not needed again soon.
  private func releaseCodeSoon() {
    guard !isReleaseDue else { return }
    isReleaseDue = true
    // A client with a request every second must not cost more than one with a request every ten.
    let pause = max(.seconds(2), .seconds(10) - Instant.now().since(lastRelease))
    events.schedule(after: pause) { [unowned self] in
      isReleaseDue = false
      releaseCode()
    }
  }

  private func releaseCodeRegularly() {
    events.schedule(after: .seconds(60)) { [unowned self] in
      releaseCode()
      releaseCodeRegularly()
    }
  }

  private func releaseCode() {
    lastRelease = .now()
    releaseCodePages()
  }

  /// Logs when writing `what` begins to fail, and when it works again; `error` is `nil` after a successful write. On
  /// the main thread.
  public func noteWriting(_ what: String, _ error: (any Error)?) {
    if let error {
      if failedWrites.insert(what).inserted { logger.warning("\(what) cannot be written: \(error)") }
    } else if failedWrites.remove(what) != nil {
      logger.notice("\(what) can be written again")
    }
  }

  /// Runs until `stop` or `fail`, then calls `shutDown`. Throws the failure.
  public func run(shutDown: () -> Void) throws(Failure) {
    events.run()
    notifier.stop()
    notifyServiceManager("STOPPING=1")
    control?.stop()
    metrics.stop()
    shutDown()
    control = nil
    output.flush()
    if let failure { throw failure }
  }

  /// Logs a warning when `run` has begun: the log starts a thread, and no thread may start before the process has
  /// dropped its privileges. From any thread.
  public func warnLater(_ line: String) {
    events.post { [logger] in logger.warning("\(line)") }
  }

  /// Ends `run` after the answers under way. From any thread.
  public func stop(_ why: String) {
    events.post { [self] in
      guard !isStopping else { return }
      isStopping = true
      logger.notice("\(why)")
      events.stop()
    }
  }

  /// Ends `run` with a failure. From any thread.
  public func fail(_ failure: Failure) {
    events.post { [self] in
      guard !isStopping else { return }
      isStopping = true
      self.failure = failure
      events.stop()
    }
  }

  /// A status report with the fields of both daemons.
  public func statusReport(_ role: KeyReport.Role) -> StatusReport {
    var report = StatusReport(
      program: program, programVersion: suiteVersion, processId: currentProcess(),
      uptime: Instant.now().since(started).roundedSeconds, role: role, logLevel: "\(output.level)")
    report.lastErrors = output.problems.map { LogLineReport($0) }
    return report
  }

  private func collectMetrics(_ reply: @escaping @Sendable (MetricsReport) -> Void) {
    var base = MetricsReport()
    base.info("mnedc_build", "The program and its version.", ["program": program, "version": suiteVersion])
    base.add(MetricsReport(.now(), started: startTime.now()))
    whatToDo.metrics(whatToDo.reloading.inForce.metrics.peerLimit) { [base] report in
      var all = base
      all.add(report)
      reply(all)
    }
  }

  private static func failure(_ error: UnixListenerError, _ path: String) -> Failure {
    switch error {
    case .inUse(let peer):
      Failure(
        .cannotCreate,
        "process \(peer.process) answers at \(path) already; stop it (mnedc-ctl stop --socket \(path)) or choose "
          + "another --socket")
    case .notASocket:
      Failure(.cannotCreate, "\(path) exists and is not a socket; remove it or choose another --socket")
    case .pathTooLong:
      Failure(.usage, "the path \(path) is longer than the 107 bytes that a socket's may have; choose another --socket")
    case .system(let errno):
      errno == .permissionDenied
        ? Failure(.noPermission, "cannot listen at \(path): \(errno); run as root or choose another --socket")
        : Failure(.cannotCreate, "cannot listen at \(path): \(errno); choose another --socket")
    }
  }
}

extension Failure {
  public init(_ error: PrivilegeError) {
    self.init(.systemError, error.description)
  }
}

extension LogLineReport {
  fileprivate init(_ line: LogMemory.Line) {
    self.init(time: line.time, loggedAt: Int(line.unixTime), level: "\(line.level)", text: line.text)
  }
}

extension Logger.Level {
  /// The level of that name.
  public init(_ setting: Settings.LogLevel) {
    self = Self(rawValue: setting.rawValue) ?? .info
  }
}
