internal import CLinux
internal import Glibc
internal import Synchronization

/// The time of day here, `2026-11-23 14:03:07.512`.
public func localTime() -> String {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  var parts = tm()
  localtime_r(&now.tv_sec, &parts)
  func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
  return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
    + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)"
}

/// Writes a line to the system's log (syslog(3)) in the name of `program`; `priority` is 0 (emergency) to 7 (debug).
public func logToSystem(_ program: String, priority: Int32, _ text: String) {
  // The log keeps the pointer to the program's name, so one that stays is made, once.
  clinux_syslog(SystemLogName.pointer(for: program), priority, text)
}

private enum SystemLogName {
  private static let name = Mutex<UnsafeMutablePointer<CChar>?>(nil)

  static func pointer(for program: String) -> UnsafePointer<CChar>? {
    name.withLock { name in
      if name == nil { name = strdup(program) }
      return name.map { UnsafePointer($0) }
    }
  }
}

/// Whether standard error goes to the journal, as JOURNAL_STREAM says by its device and inode (systemd.exec(5)).
public func standardErrorIsJournal() -> Bool {
  var status = stat()
  guard let stream = environmentVariable("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return false }
  return stream == "\(status.st_dev):\(status.st_ino)"
}
