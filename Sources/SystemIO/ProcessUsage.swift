internal import CLinux
internal import Glibc
internal import SystemPackage

/// What this process takes of the system. What cannot be told is `nil`.
public struct ProcessUsage: Sendable {
  /// Of all threads, in user space and in the kernel.
  public var cpu: Duration
  /// In bytes.
  public var residentMemory: Int?
  public var virtualMemory: Int?
  public var openDescriptors: Int?
  public var maximumDescriptors: Int

  /// As it is now.
  public static func now() -> ProcessUsage {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    let pages = (try? readFile("/proc/self/statm", limit: 256)).map { text in
      String(decoding: text, as: UTF8.self).split(separator: " ").prefix(2).compactMap { Int($0) }
    }
    let pageSize = sysconf(CInt(_SC_PAGESIZE))
    return ProcessUsage(
      cpu: .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec),
      residentMemory: pages?.dropFirst().first.map { $0 * pageSize },
      virtualMemory: pages?.first.map { $0 * pageSize }, openDescriptors: openDescriptors,
      maximumDescriptors: descriptorLimit())
  }

  private static var openDescriptors: Int? {
    guard let directory = try? Directory("/proc/self/fd"), let names = try? directory.names() else { return nil }
    // Without the two that it takes to look.
    return max(0, names.count - 2)
  }
}
