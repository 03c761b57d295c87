internal import CLinux
internal import Glibc
public import SystemPackage

// MARK: This process

/// The user that this process acts as.
public func currentUser() -> UInt32 {
  geteuid()
}

/// The group that this process acts as.
public func currentGroup() -> UInt32 {
  getegid()
}

/// This process's number.
public func currentProcess() -> Int {
  Int(getpid())
}

/// The value of an environment variable; `nil` if it is not set.
public func environmentVariable(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}

/// This host's name.
public func hostName() -> String? {
  filledText(255) { gethostname($0, 255) == 0 }
}

/// How many cores this process may use: those of its affinity mask, which a container's or a unit's CPU set narrows.
public func usableCores() -> Int {
  let allowed = Int(clinux_usable_cores())
  return allowed > 0 ? allowed : max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
}

/// Overwrites what follows `prefix` in this process's arguments, so that the list of processes does not show it to
/// other users any more. Call it after the arguments were read, before there are threads.
public func hideArguments(behind prefix: String) {
  for index in 1..<max(1, Int(CommandLine.argc)) {
    guard let argument = CommandLine.unsafeArgv[index], strncmp(argument, prefix, prefix.utf8.count) == 0 else {
      continue
    }
    let secret = argument + prefix.utf8.count
    memset(secret, CInt(UInt8(ascii: "x")), strlen(secret))
  }
}

/// Raises this process's limit of descriptors to the most that it may have.
public func raiseDescriptorLimit() {
  guard var limit = descriptorLimits() else { return }
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// How many descriptors this process may have now.
public func descriptorLimit() -> Int {
  descriptorLimits().map { Int(clamping: $0.rlim_cur) } ?? 1024
}

private func descriptorLimits() -> rlimit? {
  var limit = rlimit()
  return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit : nil
}

/// Returns the pages of code and constants of this process and its libraries to the kernel. Those in use come back from
/// the page cache at once.
///
/// Only a start, a join or a request needs most of the program: the Swift runtime and the JSON coders touch it then.
/// The daemons call this 2 seconds after a join and once a minute. It takes less than half a millisecond; each 64 KiB
/// in use then costs a page fault. From any thread.
public func releaseCodePages() {
  clinux_release_code()
}

// MARK: The end of this process

/// Ends this process.
public func endProcess(_ status: Int32) -> Never {
  exit(status)
}

/// Ends this process by SIGABRT.
public func abortProcess() -> Never {
  abort()
}

/// Lets SIGABRT and SIGQUIT end this process, as by default. The Swift runtime catches them for a backtrace, and
/// continues if another process has sent them, such as a service manager by its watchdog.
public func endOnAbort() {
  signal(SIGABRT, SIG_DFL)
  signal(SIGQUIT, SIG_DFL)
}

/// Makes a write to a closed pipe fail with EPIPE instead of ending the process.
public func ignoreBrokenPipes() {
  signal(SIGPIPE, SIG_IGN)
}

// MARK: Output

/// Writes a text on standard output, with an end of line unless it has one.
public func writeOut(_ text: String) throws(Errno) {
  try writeOut(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
}

/// As `writeOut`, without an end of line.
public func writeOut(_ bytes: [UInt8]) throws(Errno) {
  try write(bytes, to: STDOUT_FILENO)
}

/// Writes a text and an end of line on standard error, in one piece. Ignores errors: there is nowhere to report them.
public func printError(_ text: String) {
  try? write(Array((text + "\n").utf8), to: STDERR_FILENO)
}

func write(_ bytes: [UInt8], to file: CInt) throws(Errno) {
  var bytes = bytes[...]
  while !bytes.isEmpty {
    if isInterrupted() { continue }
    let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, allowed($0.count, by: file)) }
    // Not `checked`: whoever started the program may have closed the descriptor.
    guard count > 0 || errno == EINTR else { throw Errno(rawValue: errno) }
    bytes = bytes.dropFirst(max(0, count))
  }
}

// MARK: - Resources

/// The resources that this process uses; `nil` where the system does not tell.
public struct ProcessUsage: Sendable {
  /// Of all threads, in user space and in the kernel.
  public let cpu: Duration
  /// In bytes.
  public let residentMemory: Int?
  public let virtualMemory: Int?
  public let openDescriptors: Int?
  public let maximumDescriptors = descriptorLimit()

  /// As of now.
  public static func now() -> ProcessUsage {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    let text = (try? readFile("/proc/self/statm", limit: 256)) ?? []
    let bytes = String(decoding: text, as: UTF8.self).split(separator: " ").prefix(2).compactMap { pages in
      Int(pages).map { $0 * sysconf(CInt(_SC_PAGESIZE)) }
    }
    let descriptors = try? Directory("/proc/self/fd").names().count
    return ProcessUsage(
      cpu: .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec), residentMemory: bytes.dropFirst().first,
      virtualMemory: bytes.first,
      // Counting takes two itself.
      openDescriptors: descriptors.map { max(0, $0 - 2) })
  }
}

// MARK: - Other processes

/// Waits for the end of a process of this host, whoever started it (pidfd_open(2)).
public struct ProcessEnd: ~Copyable, Sendable {
  private let descriptor: Descriptor

  /// Watches the process of that number. Throws ESRCH if there is none, and ENOSYS before Linux 5.3.
  public init(of process: Int32) throws(Errno) {
    descriptor = Descriptor(owning: try shim(clinux_process_descriptor(process)))
  }

  /// Waits for the end, at most until `deadline`. False: the time is up.
  public borrowing func wait(until deadline: Instant) throws(Errno) -> Bool {
    try descriptor.wait(for: .readable, until: deadline)
  }
}

/// Waits for a child of this process, and returns its exit status; for one that a signal ended, the signal's number.
/// `nil` if another thread has waited for it.
func waitForChild(_ process: pid_t) -> (status: CInt, signal: CInt)? {
  var status: CInt = 0
  while waitpid(process, &status, 0) < 0 {
    guard errno == EINTR else { return nil }
  }
  return ((status >> 8) & 0xFF, status & 0x7F)
}
