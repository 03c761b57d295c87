internal import Control
internal import SystemIO

extension MetricsReport {
  /// The process metrics that Prometheus clients share, by their usual names.
  init(_ usage: ProcessUsage, started: Int64) {
    self.init()
    counter(
      "process_cpu_seconds", unit: "seconds", "Total user and system CPU time spent in seconds.", usage.cpu.seconds)
    gauge(
      "process_resident_memory_bytes", unit: "bytes", "Resident memory size in bytes.",
      usage.residentMemory.map { Double($0) })
    gauge(
      "process_virtual_memory_bytes", unit: "bytes", "Virtual memory size in bytes.",
      usage.virtualMemory.map { Double($0) })
    gauge("process_open_fds", "Number of open file descriptors.", usage.openDescriptors.map { Double($0) })
    gauge("process_max_fds", "Maximum number of open file descriptors.", Double(usage.maximumDescriptors))
    gauge(
      "process_start_time_seconds", unit: "seconds", "Start time of the process since the Unix epoch in seconds.",
      Double(started))
  }
}

/// The daemon's start by the present clock: a small device may set its clock only later.
struct StartTime {
  private let started: Instant
  private var told: Int64

  /// A smaller difference, in seconds, is no change of the clock.
  private static let tolerance: Int64 = 2

  init(_ started: Instant) {
    self.started = started
    told = Self.time(of: started)
  }

  /// In seconds since 1970.
  mutating func now() -> Int64 {
    let time = Self.time(of: started)
    if abs(time - told) > Self.tolerance { told = time }
    return told
  }

  private static func time(of started: Instant) -> Int64 {
    UnixTime.now() - Instant.now().since(started).nanoseconds / 1_000_000_000
  }
}
