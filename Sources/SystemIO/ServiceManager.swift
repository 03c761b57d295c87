internal import CLinux
internal import Glibc
internal import Synchronization

/// The service manager that has started this process, if one has.
public enum ServiceManager {
  /// Whether it listens to `notifyServiceManager`.
  public static var isThere: Bool { environmentVariable("NOTIFY_SOCKET").map { !$0.isEmpty } ?? false }

  /// Within which time it expects the next `WATCHDOG=1` (sd_watchdog_enabled(3)); `nil` if it does not watch this
  /// process.
  public static var watchdogTime: Duration? {
    guard isThere, let text = environmentVariable("WATCHDOG_USEC"), let time = Int64(text), time > 0 else { return nil }
    if let process = environmentVariable("WATCHDOG_PID"), Int(process) != currentProcess() { return nil }
    return .microseconds(time)
  }
}

/// Reports this process's state to the service manager (sd_notify(3)), if that has set NOTIFY_SOCKET: lines such as
/// `READY=1` and `STATUS=joined as 10.0.0.2`. No value may contain an end of line.
public func notifyServiceManager(_ lines: String) {
  guard let path = environmentVariable("NOTIFY_SOCKET"), !path.isEmpty,
    let address = UnixAddress(path: path, mayBeAbstract: true),
    let socket = try? Descriptor(socket: AF_UNIX, SOCK_DGRAM)
  else { return }
  let bytes = Array(lines.utf8)
  _ = address.withSockaddr { sendto(socket.raw, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0, $1) }
}

/// The systemd unit that this process belongs to, such as `mnedc-join.service`; `nil` if there is none, or /proc does
/// not tell.
public func ownServiceUnit() -> String? {
  guard let content = try? readFile("/proc/self/cgroup", limit: 8192) else { return nil }
  let places = String(decoding: content, as: UTF8.self).split { $0 == "/" || $0 == "\n" }
  return places.last { $0.hasSuffix(".service") }.map(String.init)
}

// MARK: The system's log

/// syslog(3) keeps the pointer to the program's name, so there is one copy that stays.
private let syslogName = Mutex<UnsafeMutablePointer<CChar>?>(nil)

/// Writes a line to the system's log (syslog(3)) in the name of `program`; `priority` is 0 (emergency) to 7 (debug).
public func logToSystem(_ program: String, priority: Int32, _ text: String) {
  syslogName.withLock { name in
    if name == nil { name = strdup(program) }
    clinux_syslog(name, priority, text)
  }
}

/// Whether standard error goes to the journal: JOURNAL_STREAM names its device and inode (systemd.exec(5)).
public func standardErrorIsJournal() -> Bool {
  var status = stat()
  guard let stream = environmentVariable("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return false }
  return stream == "\(status.st_dev):\(status.st_ino)"
}
