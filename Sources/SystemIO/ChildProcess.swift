internal import CLinux
internal import Glibc
public import SystemPackage

/// Another program that runs for a while, for this one.
///
/// It runs as the user of this process, in the directory / and in a session of its own, with no capability and no way to get
/// one, without input, with its output as said and no other descriptor, and with every signal at its default. When
/// it has ended, or its time is over, everything that is left in its process group is killed.
public final class ChildProcess: EventHandler {
  /// What to run.
  public struct Command: Sendable {
    /// A path; or a name without "/", which is looked for in the directories of `environment`'s PATH.
    public var program: String
    /// Behind the program's name.
    public var arguments: [String]
    /// The whole of it.
    public var environment: [String: String]
    /// How many bytes of standard output and errors, together, are kept; what comes behind them is thrown away. With zero,
    /// both are /dev/null.
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
    /// With an exit status, zero where all went well.
    case exited(Int32)
    /// By a signal that is not this process's.
    case signalled(Int32)
    /// Killed since its time was over.
    case timedOut
    /// Killed by `kill`.
    case killed
  }

  /// What came of it.
  public struct Outcome: Sendable, Equatable {
    public var end: End
    /// What it wrote on standard output and errors, as they came.
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

  /// Starts a program, on the loop's thread, which rests for the moment that takes; the program is seen to its end whether this
  /// value is kept or not. `done` is called on that thread once it has ended.
  ///
  /// Throws `noSuchFileOrDirectory` for a program that is not there, `permissionDenied` for one that may not be run, and
  /// `invalidArgument` for a text with a zero byte.
  @discardableResult
  public init(_ command: Command, on events: EventLoop, _ done: @escaping (Outcome) -> Void) throws(Errno) {
    precondition(events.isCurrent)
    self.events = events
    outputLimit = command.outputLimit
    let path = try Self.path(of: command)
    var writer: Descriptor?
    if command.outputLimit > 0 {
      var ends: [CInt] = [-1, -1]
      try shim(clinux_pipe(&ends))
      output = Descriptor(owning: ends[0])
      writer = Descriptor(owning: ends[1])
    } else {
      output = nil
    }
    process = try Self.spawn(path, command, output: Self.number(writer))
    _ = consume writer
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

  /// Ends the program and all of its group at once; `done` is told as it is of every end. On the loop's thread.
  public func kill() {
    kill(.killed)
  }

  private func kill(_ reason: End) {
    precondition(events.isCurrent)
    guard done != nil, self.reason == nil else { return }
    self.reason = reason
    _ = Glibc.kill(-process, SIGKILL)
  }

  /// It has ended.
  public func handle(_ events: Events) {
    guard let done, let registration else { return }
    self.events.deregister(descriptor, registration)
    if let timer { self.events.cancel(timer) }
    // Before it is taken note of, while the number is surely not another's.
    _ = Glibc.kill(-process, SIGKILL)
    let end = reason ?? Self.reap(process)
    if reason != nil { Self.reap(process) }
    readOutput()
    closeOutput()
    self.done = nil
    done(Outcome(end: end, output: read))
  }

  // MARK: Output

  private final class OutputReader: EventHandler {
    unowned let child: ChildProcess
    var registration: Registration?

    init(_ child: ChildProcess) { self.child = child }

    func handle(_ events: Events) { child.readOutput() }
  }

  /// Reads what is there, at most a few pieces at once.
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

  // MARK: The start

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

  private static func number(_ descriptor: borrowing Descriptor?) -> CInt {
    switch descriptor {
    case .some(let descriptor): descriptor.raw
    case nil: -1
    }
  }

  private static func spawn(_ path: String, _ command: Command, output: CInt) throws(Errno) -> pid_t {
    let arguments = [command.program] + command.arguments
    let environment = command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    guard !(arguments + environment).contains(where: { $0.utf8.contains(0) }) else { throw .invalidArgument }
    var (first, second) = ([UnsafeMutablePointer<CChar>?](), [UnsafeMutablePointer<CChar>?]())
    for text in arguments { first.append(strdup(text)) }
    for text in environment { second.append(strdup(text)) }
    defer { for text in first + second { free(text) } }
    let process = clinux_spawn(path, first + [nil], second + [nil], output)
    guard process > 0 else { throw Errno(rawValue: -process) }
    return process
  }

  /// Kills the group, and takes note of how the program has ended, which it has or is about to.
  @discardableResult
  private static func reap(_ process: pid_t) -> End {
    _ = Glibc.kill(-process, SIGKILL)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0 {
      // Somebody else has taken note of it.
      guard errno == EINTR else { return .exited(0) }
    }
    let signal = status & 0x7F
    return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
  }
}
