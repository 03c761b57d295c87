public import Config
public import Control
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

  // Owned by the main thread.
  private var signals: SignalSource?
  private var control: ControlServer?
  private var failure: Failure?
  private var isStopping = false

  /// To be made on the main thread, before there is any other: the signals that end the daemon are blocked from here on.
  public init(_ program: String, level: Settings.LogLevel) throws(Failure) {
    self.program = program
    do {
      output = try LogOutput(program: program)
      logger = output.logger(level: Logger.Level(rawValue: level.rawValue) ?? .info)
      events = try EventLoop()
      signals = try SignalSource([.interrupt, .terminate, .hangup], on: events) { [weak self] signal in
        self?.stop(signal.why)
      }
    } catch {
      throw Failure(.systemError, "cannot begin: \(error)")
    }
  }

  deinit {
    // Unless it ran: what else was to be had could not.
    control?.stop()
  }

  /// Answers at the local socket from now on. `handler` does not get to see `stop`; `heir` is the user that this process
  /// will become.
  public func listen(at path: String, for heir: User? = nil, _ handler: @escaping ControlServer.Handler) throws(Failure)
  {
    do {
      let onTrouble = { [logger] (error: Errno) in
        let advice = error == .tooManyOpenFiles ? "; raise its limit of open files (LimitNOFILE=, ulimit -n)" : ""
        logger.error("mnedc-ctl and mnedc-peers cannot be answered: \(error)\(advice)")
      }
      control = try ControlServer(path: path, for: heir, on: events, onTrouble: onTrouble) {
        [unowned self] command, answer in
        guard command == .stop else { return handler(command, answer) }
        answer(.done)
        stop("told to stop")
      }
    } catch let error as UnixListenerError {
      throw Self.failure(error, path)
    } catch {
      throw Failure(.systemError, "cannot listen at \(path): \(error)")
    }
  }

  /// Runs until the end is asked for, then `shutDown`. Throws what ended it, if that was a failure.
  public func run(shutDown: () -> Void) throws(Failure) {
    events.run()
    notifyServiceManager("STOPPING=1")
    control?.stop()
    shutDown()
    control = nil
    output.flush()
    if let failure { throw failure }
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
  public func statusReport() -> StatusReport {
    StatusReport(
      program: program, programVersion: suiteVersion, processId: currentProcess(),
      uptime: Instant.now().since(started).roundedSeconds)
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
      case .noPermission: .noPermission
      case .nameTaken: .cannotCreate
      case .badName, .mtuRefused, .addressRefused: .configuration
      case .noTunDevice, .failed: .systemError
      }
    self.init(status, error.description)
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

extension Signal {
  /// What the log says when it ends a daemon.
  fileprivate var why: String {
    switch self {
    case .hangup: "the terminal has hung up"
    case .interrupt: "interrupted"
    case .terminate: "told to terminate"
    }
  }
}
