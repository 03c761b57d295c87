internal import CLinux
internal import Glibc
public import SystemPackage

/// Overwrites what follows `prefix` in this process's arguments, so that other users do not see it in the list of processes any
/// more. To be called before there are threads, and after the arguments were read.
public func hideArguments(behind prefix: String) {
  for index in 1..<max(1, Int(CommandLine.argc)) {
    guard let argument = CommandLine.unsafeArgv[index], strncmp(argument, prefix, prefix.utf8.count) == 0 else {
      continue
    }
    let secret = argument + prefix.utf8.count
    memset(secret, CInt(UInt8(ascii: "x")), strlen(secret))
  }
}

/// Ends this process.
public func endProcess(_ status: Int32) -> Never {
  exit(status)
}

/// Writes a text on standard output, with an end of line unless it has one.
public func writeOut(_ text: String) throws(Errno) {
  try write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO)
}

/// The same, without an end of line.
public func writeOut(_ bytes: [UInt8]) throws(Errno) {
  try write(bytes, to: STDOUT_FILENO)
}

/// Writes a text and an end of line on standard error, in one piece; there is nowhere left to say that it failed.
public func printError(_ text: String) {
  try? write(text + "\n", to: STDERR_FILENO)
}

func write(_ text: String, to file: CInt) throws(Errno) {
  try write(Array(text.utf8), to: file)
}

private func write(_ bytes: [UInt8], to file: CInt) throws(Errno) {
  var bytes = bytes[...]
  while !bytes.isEmpty {
    if isInterrupted() { continue }
    let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, allowed($0.count, by: file)) }
    // Not `checked`: whoever started the program may have closed the descriptor.
    guard count > 0 || errno == EINTR else { throw Errno(rawValue: errno) }
    bytes = bytes.dropFirst(max(0, count))
  }
}

/// Lets a write to a closed pipe fail with EPIPE instead of ending the process.
public func ignoreBrokenPipes() {
  signal(SIGPIPE, SIG_IGN)
}

/// Lets SIGABRT and SIGQUIT end this process, as by default. The Swift runtime catches them for a backtrace, and
/// continues if another process has sent them, such as a service manager by its watchdog.
public func endOnAbort() {
  signal(SIGABRT, SIG_DFL)
  signal(SIGQUIT, SIG_DFL)
}

/// Ends this process by SIGABRT.
public func abortProcess() -> Never {
  abort()
}

/// Lets this process have as many descriptors as the system allows it to ask for.
public func raiseDescriptorLimit() {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// How many descriptors this process may have now.
public func descriptorLimit() -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
  return Int(clamping: limit.rlim_cur)
}

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
  var name = [CChar](repeating: 0, count: 256)
  guard gethostname(&name, name.count - 1) == 0 else { return nil }
  return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
