internal import CLinux
internal import Glibc
public import SystemPackage

/// Another program that this one runs for a while.
///
/// It runs as the user of this process, in the directory / and in a session of its own, with no capability and no way
/// to get one, without input, with every signal at its default, and with no descriptor but its output. When it ends, or
/// its time is over, everything in its process group is killed.
public final class ChildProcess: EventHandler {
  public struct Command: Sendable {
    /// A path; or a name without "/", which is looked for in the directories of `environment`'s PATH.
    public var program: String
    /// Without the program's name.
    public var arguments: [String]
    /// The whole environment.
    public var environment: [String: String]
    /// How many bytes of standard output and standard error, together, are kept; the rest is discarded. With zero, both
    /// are /dev/null.
    public var outputLimit: Int
    /// How long it may run.
    public var timeout: Duration

    public init(
      _ program: String, _ arguments: [String] = [], environment: [String: String] = [:], outputLimit: Int = 0,
      timeout: Duration
    ) {
      self.program = program
      self.arguments = arguments
      self.environment = environment
      self.outputLimit = outputLimit
      self.timeout = timeout
    }
  }

  public enum End: Sendable, Equatable {
    /// With this exit status.
    case exited(Int32)
    /// By another process's signal.
    case signalled(Int32)
    /// Killed after `timeout`.
    case timedOut
    /// Killed by `kill`.
    case killed
  }

  public struct Outcome: Sendable, Equatable {
    public var end: End
    /// Standard output and standard error in the order in which they came.
    public var output: [UInt8]

    public init(end: End, output: [UInt8] = []) {
      self.end = end
      self.output = output
    }
  }

  // Set once.
  private let events: EventLoop
  private let process: pid_t
  private let descriptor: Descriptor
  private let output: Descriptor?
  private let outputLimit: Int

  // Owned by the loop's thread.
  private var registration: Registration?
  private var timer: Timer?
  private var reader: OutputReader?
  private var read: [UInt8] = []
  private var done: ((Outcome) -> Void)?
  /// Why this process has killed it, if it has.
  private var reason: End?

  /// Starts a program, on the loop's thread, which blocks until it is started. The program runs to its end whether this
  /// object is kept or not. Calls `done` on that thread after the end.
  ///
  /// Throws `noSuchFileOrDirectory` for a missing program, `permissionDenied` for one that may not be run, and
  /// `invalidArgument` for a text with a zero byte.
  @discardableResult
  public init(_ command: Command, on events: EventLoop, _ done: @escaping (Outcome) -> Void) throws(Errno) {
    precondition(events.isCurrent)
    self.events = events
    outputLimit = command.outputLimit
    let path = try Self.path(of: command)
    var ends: [CInt] = [-1, -1]
    if command.outputLimit > 0 { try shim(clinux_pipe(&ends)) }
    output = ends[0] < 0 ? nil : Descriptor(owning: ends[0])
    defer { if ends[1] >= 0 { close(ends[1]) } }
    process = try Self.spawn(path, command, output: ends[1])
    let descriptor = clinux_process_descriptor(process)
    guard descriptor >= 0 else {
      Self.reap(process)
      throw Errno(rawValue: -descriptor)
    }
    self.descriptor = Descriptor(owning: descriptor)
    self.done = done
    do {
      registration = try events.register(self.descriptor, for: .readable, handler: self)
      if output != nil {
        let reader = OutputReader(self)
        reader.registration = try events.register(output!, for: .readable, handler: reader)
        self.reader = reader
      }
    } catch {
      if let registration { events.deregister(self.descriptor, registration) }
      Self.reap(process)
      throw error
    }
    timer = events.schedule(after: command.timeout) { [weak self] in self?.kill(.timedOut) }
  }

  /// Kills the program and its group; `done` is called as after every end. On the loop's thread.
  public func kill() {
    kill(.killed)
  }

  private func kill(_ reason: End) {
    precondition(events.isCurrent)
    guard done != nil, self.reason == nil else { return }
    self.reason = reason
    _ = Glibc.kill(-process, SIGKILL)
  }

  /// The program has ended.
  public func handle(_ events: Events) {
    guard let done, let registration else { return }
    self.events.deregister(descriptor, registration)
    if let timer { self.events.cancel(timer) }
    let end = Self.reap(process)
    readOutput()
    closeOutput()
    self.done = nil
    done(Outcome(end: reason ?? end, output: read))
  }

  // MARK: Output

  private final class OutputReader: EventHandler {
    unowned let child: ChildProcess
    var registration: Registration?

    init(_ child: ChildProcess) { self.child = child }

    func handle(_ events: Events) { child.readOutput() }
  }

  /// Reads some of the output, so that a talkative program does not hold the loop up.
  fileprivate func readOutput() {
    guard output != nil else { return }
    var piece = [UInt8](repeating: 0, count: 16_384)
    for _ in 0..<8 {
      let count: Int?
      do {
        count = try piece.withUnsafeMutableBytes { bytes throws(Errno) in try output!.read(into: bytes) }
      } catch {
        return closeOutput()
      }
      guard let count else { return }
      if count == 0 { return closeOutput() }
      read += piece.prefix(min(count, outputLimit - read.count))
    }
  }

  private func closeOutput() {
    guard let reader, let registration = reader.registration else { return }
    reader.registration = nil
    self.reader = nil
    events.deregister(output!, registration)
  }

  // MARK: Start and end

  private static func path(of command: Command) throws(Errno) -> String {
    let program = command.program
    guard !program.isEmpty else { throw .noSuchFileOrDirectory }
    if program.contains("/") { return program }
    var problem = Errno.noSuchFileOrDirectory
    for directory in (command.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":") {
      let path = "\(directory)/\(program)"
      if access(path, X_OK) == 0 { return path }
      if errno == EACCES { problem = .permissionDenied }
    }
    throw problem
  }

  private static func spawn(_ path: String, _ command: Command, output: CInt) throws(Errno) -> pid_t {
    let arguments = [command.program] + command.arguments
    let environment = command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    guard !(arguments + environment).contains(where: { $0.utf8.contains(0) }) else { throw .invalidArgument }
    let (first, second) = (arguments.map { strdup($0) }, environment.map { strdup($0) })
    defer { for text in first + second { free(text) } }
    return try shim(clinux_spawn(path, first + [nil], second + [nil], output))
  }

  /// Kills the group and waits for the program, which has ended or is about to.
  @discardableResult
  private static func reap(_ process: pid_t) -> End {
    // Before the wait, after which the number may be another's.
    _ = Glibc.kill(-process, SIGKILL)
    guard let (status, signal) = waitForChild(process) else { return .exited(0) }
    return signal == 0 ? .exited(status) : .signalled(signal)
  }
}
