internal import CLinux
internal import Glibc

/// What the service manager that has started this process wants of it.
public enum ServiceManager {
  /// Whether it is to be told anything.
  public static var isThere: Bool { environmentVariable("NOTIFY_SOCKET").map { !$0.isEmpty } ?? false }

  /// Within which time it wants a `WATCHDOG=1` again (sd_watchdog_enabled(3)); `nil` if it does not watch this process.
  public static var watchdogTime: Duration? {
    guard isThere, let text = environmentVariable("WATCHDOG_USEC"), let time = Int64(text), time > 0 else { return nil }
    if let process = environmentVariable("WATCHDOG_PID"), Int(process) != currentProcess() { return nil }
    return .microseconds(time)
  }
}

/// Tells the service manager how this process does (sd_notify(3)), if one has asked for it by NOTIFY_SOCKET: lines such as
/// `READY=1` and `STATUS=joined as 10.0.0.2`. No value may hold the end of a line.
public func notifyServiceManager(_ lines: String) {
  guard let path = environmentVariable("NOTIFY_SOCKET"), !path.isEmpty else { return }
  let socket = Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  guard socket >= 0 else { return }
  defer { close(socket) }
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  var name = Array(path.utf8)
  // A leading @ stands for the zero byte of an abstract name.
  if name[0] == UInt8(ascii: "@") { name[0] = 0 }
  let length = MemoryLayout<sa_family_t>.size + name.count
  let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
    guard name.count < room.count else { return false }
    room.copyBytes(from: name)
    return true
  }
  guard fits else { return }
  let bytes = Array(lines.utf8)
  _ = withUnsafeBytes(of: address) { address in
    sendto(
      socket, bytes, bytes.count, CInt(MSG_NOSIGNAL | MSG_DONTWAIT),
      address.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t(length))
  }
}

/// The systemd unit that this process belongs to, such as `mnedc-join.service`; `nil` if there is none, or it cannot be
/// seen.
public func ownServiceUnit() -> String? {
  guard let content = try? readFile("/proc/self/cgroup", limit: 8192) else { return nil }
  let places = String(decoding: content, as: UTF8.self).split { $0 == "/" || $0 == "\n" }
  return places.last { $0.hasSuffix(".service") }.map(String.init)
}
