internal import CLinux
internal import Glibc
public import SystemPackage

/// This program, started once more in the background, in a session of its own.
///
/// A process with threads cannot fork and go on, so the program is started anew. An environment variable tells the new
/// process (see `Foreground`), which reports to the old one by a line on a pipe when it is ready.
public struct BackgroundProcess: ~Copyable {
  private let process: pid_t
  private let pipe: Descriptor

  static let variable = "MNEDC_BACKGROUND"
  static let pipeNumber: CInt = 3
  /// POSIX_SPAWN_SETSID, an extension of glibc's <spawn.h> that Swift does not see.
  private static let newSession = 0x80

  /// Starts it with the same command line. It has no standard input and output, and shares standard error until it is
  /// ready.
  public init() throws(Errno) {
    var ends: [CInt] = [0, 0]
    try checked { Glibc.pipe(&ends) }
    let reader = Descriptor(owning: ends[0])
    let writer = Descriptor(owning: ends[1])
    try checked { fcntl(reader.raw, F_SETFD, FD_CLOEXEC) }

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, writer.raw, Self.pipeNumber)
    if writer.raw != Self.pipeNumber { posix_spawn_file_actions_addclose(&actions, writer.raw) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(Self.newSession))

    setenv(Self.variable, "1", 1)
    defer { unsetenv(Self.variable) }
    var process = pid_t()
    let result = posix_spawn(&process, Self.ownPath, &actions, &attributes, CommandLine.unsafeArgv, environ)
    guard result == 0 else { throw Errno(rawValue: result) }
    self.process = process
    self.pipe = reader
  }

  /// The path of this program's file, by which `ps` shows the new process.
  private static var ownPath: String {
    let link = "/proc/self/exe"
    let path = filledText(Int(PATH_MAX)) { (1..<Int(PATH_MAX)).contains(readlink(link, $0, Int(PATH_MAX))) }
    // The link works even if the file was replaced after this process began.
    guard let path, access(path, X_OK) == 0 else { return link }
    return path
  }

  /// Waits until the process is ready, and returns its line; or until it ends, and returns its exit status. For a
  /// process that a signal ended, that is 128 and the signal's number, as in shells.
  public consuming func waitUntilReady() -> Result<String, Exit> {
    var line: [UInt8] = []
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
      while line.last != UInt8(ascii: "\n"), let count = try? pipe.read(into: buffer), count > 0 {
        line.append(contentsOf: buffer[..<count])
      }
    }
    if line.last == UInt8(ascii: "\n") { return .success(String(decoding: line.dropLast(), as: UTF8.self)) }
    let (status, signal) = waitForChild(process) ?? (0, 0)
    return .failure(Exit(status: signal == 0 ? status : 128 + signal))
  }

  public struct Exit: Error, Sendable {
    public let status: Int32
  }
}

/// The process in the foreground that has started this one (`BackgroundProcess`) and waits until it is ready.
public final class Foreground: EventHandler {
  // Owned by the loop's thread.
  private let pipe = Descriptor(owning: BackgroundProcess.pipeNumber)
  private let events: EventLoop
  private let onGone: () -> Void
  private var registration: Registration?

  /// Whether this process is in the background and another waits for it. Call it once, at the start: it removes the
  /// environment variable.
  public static func isWaiting() -> Bool {
    guard getenv(BackgroundProcess.variable) != nil else { return false }
    unsetenv(BackgroundProcess.variable)
    _ = fcntl(BackgroundProcess.pipeNumber, F_SETFD, FD_CLOEXEC)
    // A process that lives on must not hold what its starter had open, such as a lock.
    clinux_close_from(UInt32(BackgroundProcess.pipeNumber) + 1)
    return true
  }

  /// Calls `onGone` on `loop` if the waiting process ends before this one is ready. Once only, after `isWaiting`.
  public init(on loop: EventLoop, _ onGone: @escaping () -> Void) throws(Errno) {
    events = loop
    self.onGone = onGone
    // The loop reports in any case that the pipe's other end is gone.
    registration = try loop.register(pipe, for: [], handler: self)
  }

  public func handle(_ events: Events) {
    release()
    onGone()
  }

  /// Lets the waiting process succeed with `line` as its output, and gives up the standard error shared with it.
  public func becomeReady(_ line: String) {
    release()
    try? pipe.writeAll(Array((line + "\n").utf8))
    let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
    if nowhere >= 0 {
      dup2(nowhere, STDERR_FILENO)
      close(nowhere)
    }
    _ = chdir("/")
  }

  private func release() {
    if let registration { events.deregister(pipe, registration) }
    registration = nil
  }
}
