internal import CLinux
internal import Glibc
public import SystemPackage

/// This program, running once more in a session of its own, behind the back of whoever started it.
///
/// A process with threads cannot fork and go on, so the program is started anew; the new process (see `Foreground`) tells
/// the old one when it is ready by a line on a pipe, and is known by an environment variable.
public struct BackgroundProcess: ~Copyable {
  private let process: pid_t
  private let pipe: Descriptor

  static let variable = "MNEDC_BACKGROUND"
  static let pipeNumber: CInt = 3
  /// POSIX_SPAWN_SETSID, an extension of glibc's <spawn.h> that Swift does not see.
  private static let newSession = 0x80

  /// Starts it with the same command line. It has no standard input and output; standard error is shared until it is ready.
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

  /// Where this program's file is, by which `ps` will know the new process too.
  private static var ownPath: String {
    let link = "/proc/self/exe"
    var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = path.withUnsafeMutableBytes { readlink(link, $0.baseAddress!, $0.count) }
    guard count > 0, count < path.count else { return link }
    let own = String(decoding: path[..<count], as: UTF8.self)
    // The file may have been replaced since this process began; the link works all the same.
    return access(own, X_OK) == 0 ? own : link
  }

  /// Waits until the process is ready, and returns what it said, or until it has ended, and returns how.
  public consuming func waitUntilReady() -> Result<String, Exit> {
    var line: [UInt8] = []
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
      while line.last != UInt8(ascii: "\n"), let count = try? pipe.read(into: buffer), count > 0 {
        line.append(contentsOf: buffer[..<count])
      }
    }
    if line.last == UInt8(ascii: "\n") { return .success(String(decoding: line.dropLast(), as: UTF8.self)) }
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    // A process that a signal ended has no exit status; 128 and the signal's number stand for it in shells.
    return .failure(Exit(status: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F))
  }

  public struct Exit: Error, Sendable {
    public let status: Int32
  }
}
