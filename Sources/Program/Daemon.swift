public import Config
public import Control
public import Device
public import Identity
public import Logging
public import SystemIO
internal import SystemPackage
public import Tun

/// What both daemons have in common: the main thread's loop with signals and the local socket, the log, and the end.
///
/// Everything but `stop` and `fail` belongs to the main thread.
public final class Daemon: @unchecked Sendable {
  // Set once.
  public let program: String
  public let events: EventLoop
  public let output: LogOutput
  public let logger: Logger
  private let started = Instant.now()
  private lazy var startTime = StartTime(started)

  // Owned by the main thread.
  /// What the configuration says of the log.
  private var configuredLevel: Settings.LogLevel
  private var signals: SignalSource?
  private var control: ControlServer?
  private var failure: Failure?
  private var isStopping = false
  private var isReady = false
  /// What could not be written the last time.
  private var failedWrites: Set<String> = []
  private let beat: ServiceBeat
  private var reloading: Reloading?
  /// Whether idle code is to be let go of soon.
  private var willRelease = false
  private var lastRelease = Instant(nanoseconds: 0)

  /// To be made on the main thread, before there is any other: the signals that end the daemon are blocked from here on.
  public init(_ program: String, level: Settings.LogLevel) throws(Failure) {
    self.program = program
    configuredLevel = level
    do {
      output = try LogOutput(program: program, level: Logger.Level(level))
      logger = output.logger()
      events = try EventLoop()
      beat = ServiceBeat(program, on: events)
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
    // Unless it ran: what else was to be had could not.
    control?.stop()
  }

  /// Throws if a daemon answers at `path` already; takes nothing, so `listen` has the last word. For before anything that only one of
  /// two can have: who starts a daemon twice is told that, and not what comes of it.
  public static func checkIsFirst(at path: String) throws(Failure) {
    let deadline = Instant.now().advanced(by: .seconds(1))
    guard let socket = try? Descriptor.connected(toUnix: path, until: deadline),
      let peer = try? socket.peerCredentials()
    else { return }
    throw failure(.inUse(by: peer), path)
  }

  /// Answers at the local socket from now on. `handler` does not get to see what every daemon does alike; `heir` is the user that
  /// this process will become.
  public func listen(at path: String, for heir: User? = nil, _ handler: @escaping ControlServer.Handler) throws(Failure)
  {
    do {
      let onTrouble = { [logger] (error: Errno) in
        let advice = error == .tooManyOpenFiles ? "; raise its limit of open files (LimitNOFILE=, ulimit -n)" : ""
        logger.error("mnedc-ctl and mnedc-peers cannot be answered: \(error)\(advice)")
      }
      control = try ControlServer(path: path, for: heir, on: events, onTrouble: onTrouble) {
        [unowned self] command, answer in
        releaseCodeSoon()
        switch command {
        case .stop:
          answer(.done)
          stop("told to stop")
        case .reload: reload(answer)
        case .logLevel(let level): answer(setLogLevel(level))
        case .diagnostics: answer(.report(diagnostics()))
        default: handler(command, answer)
        }
      }
    } catch let error as UnixListenerError {
      throw Self.failure(error, path)
    } catch {
      throw Failure(.systemError, "cannot listen at \(path): \(error)")
    }
  }

  /// Tells who has subscribed at the local socket.
  public func publish(_ event: PeerEventReport) {
    control?.publish(event)
  }

  /// Whether anybody has.
  public var hasSubscribers: Bool { control?.hasSubscribers ?? false }

  /// What `reload` and SIGHUP do from now on.
  public func reload(by reloading: Reloading) {
    self.reloading = reloading
  }

  /// What the daemon goes by; `nil` before it is known how to reload.
  var settingsInForce: Settings? { reloading?.inForce }

  /// Notes that more of the configuration holds now than when it was read.
  func updateSettingsInForce(_ body: (inout Settings) -> Void) {
    if let reloading { body(&reloading.inForce) }
  }

  /// Takes over the level that a reloaded configuration says. A level that was set by hand stays unless that has changed.
  public func configure(_ level: Settings.LogLevel) {
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
      // The line is written by the level that shows it, if one of them does.
      let (former, new) = (output.level, Logger.Level(level))
      output.level = min(former, new)
      logger.notice("the log level is \(new) from now on, was \(former)")
      output.level = new
    }
    return .report(LogLevelReport(level: "\(output.level)", configuredLevel: configuredLevel.rawValue))
  }

  /// Takes the configuration file's changes over, or says what is wrong with the file.
  private func reload(_ answer: (ControlAnswer) -> Void) {
    guard let reloading else { preconditionFailure("nobody is served before it is known how to reload") }
    if isReady {
      notifyServiceManager("RELOADING=1\nMONOTONIC_USEC=\(Instant.now().nanoseconds / 1000)")
    }
    do {
      let report = try reloading.reload()
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
    if isReady { beat.tellReady() }
  }

  /// Tells the service manager that the daemon does its work, and what that is.
  public func becomeReady(_ status: String) {
    let isFirst = !isReady
    isReady = true
    beat.tellReady(status)
    if isFirst { releaseCodeRegularly() }
    releaseCodeSoon()
  }

  /// Tells the service manager what the daemon does now.
  public func tell(_ status: String) {
    beat.tell(status)
  }

  /// Tells the service manager, as often as it wants it, that the daemon works, as long as it does. `proof` has each thread that
  /// does the work call back in its turn, and then calls `done` with what the daemon does now, or `nil` to leave that as it is.
  public func prove(by proof: @escaping (_ done: @escaping @Sendable (_ status: String?) -> Void) -> Void) {
    beat.begin(proof)
  }

  /// Most of what is resident after a start, a join or a request at the local socket was needed for that alone.
  private func releaseCodeSoon() {
    guard !willRelease else { return }
    willRelease = true
    // Who asks every second must not cost more than who asks every ten.
    let pause = max(.seconds(2), .seconds(10) - Instant.now().since(lastRelease))
    events.schedule(after: pause) { [unowned self] in
      willRelease = false
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

  /// Logs that something begins to be impossible to write, or can be written again; `error` is `nil` where it was
  /// written. On the main thread.
  public func noteWriting(_ what: String, _ error: (any Error)?) {
    if let error {
      if failedWrites.insert(what).inserted { logger.warning("\(what) cannot be written: \(error)") }
    } else if failedWrites.remove(what) != nil {
      logger.notice("\(what) can be written again")
    }
  }

  /// Runs until the end is asked for, then `shutDown`. Throws what ended it, if that was a failure.
  public func run(shutDown: () -> Void) throws(Failure) {
    events.run()
    beat.stop()
    notifyServiceManager("STOPPING=1")
    control?.stop()
    shutDown()
    control = nil
    output.flush()
    if let failure { throw failure }
  }

  /// Logs a warning once `run` runs: the log begins a thread, and there must be none before the rights are given up. From any
  /// thread.
  public func warnLater(_ line: String) {
    events.post { [logger] in logger.warning("\(line)") }
  }

  /// Ends `run`, after the answers under way. From any thread.
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

  /// A status report with what every daemon knows of itself.
  public func statusReport(_ role: KeyReport.Role) -> StatusReport {
    var report = StatusReport(
      program: program, programVersion: suiteVersion, processId: currentProcess(),
      uptime: Instant.now().since(started).roundedSeconds, role: role, logLevel: "\(output.level)")
    report.lastErrors = output.problems.map { LogLineReport($0) }
    return report
  }

  /// Metrics with what every daemon knows of itself. On the main thread.
  public func metricsReport() -> MetricsReport {
    var report = MetricsReport()
    report.info("mnedc_build", "The program and its version.", ["program": program, "version": suiteVersion])
    report.add(MetricsReport(.now(), started: startTime.now()))
    return report
  }

  private static func failure(_ error: UnixListenerError, _ path: String) -> Failure {
    switch error {
    case .inUse(let peer):
      Failure(
        .cannotCreate,
        "process \(peer.process) answers at \(path) already; stop it (mnedc-ctl stop --socket \(path)) "
          + "or choose another --socket")
    case .notASocket:
      Failure(.cannotCreate, "\(path) is there and is no socket; remove it or choose another --socket")
    case .pathTooLong:
      Failure(.usage, "the path \(path) is longer than the 107 bytes that a socket's may have; choose another --socket")
    case .system(let errno):
      Failure(
        errno == .permissionDenied ? .noPermission : .cannotCreate,
        "cannot listen at \(path): \(errno); run as root or choose another --socket")
    }
  }
}

extension Failure {
  /// An interface that cannot be had.
  public init(_ error: TunError) {
    let status: ExitStatus =
      switch error {
      case .noPermission, .deviceRefused: .noPermission
      case .nameTaken: .cannotCreate
      case .badName, .mtuRefused, .addressRefused: .configuration
      case .noTunDevice, .noNetlink, .failed: .systemError
      }
    self.init(status, error.description)
  }
}

extension Failure {
  /// An interface that does not work any more.
  public init(_ failure: DeviceFailure) {
    switch failure {
    case .configure(let error): self.init(error)
    case .interface(let name, let errno):
      self.init(.systemError, "the interface \(name) has failed: \(errno); start this program again")
    case .lostInterface(let name):
      self.init(
        .systemError,
        "another program has deleted the interface \(name), or moved it to another network namespace; start this program "
          + "again, which makes the interface anew")
    }
  }
}

extension Failure {
  /// A state directory, or a file in it, that cannot be used.
  public init(_ error: StateError) {
    let status: ExitStatus =
      switch error.kind {
      case .unsafe, .denied: .noPermission
      case .damaged: .noInput
      case .system: .systemError
      }
    self.init(status, error.description)
  }

  /// Rights that cannot be given up.
  public init(_ error: PrivilegeError) {
    self.init(.systemError, error.description)
  }
}

extension Logger.Level {
  /// The level of that name.
  public init(_ setting: Settings.LogLevel) {
    self = Self(rawValue: setting.rawValue) ?? .info
  }
}
