import Glibc
import SystemIO
import SystemPackage

/// What the kernel says of a process's use of CPU and memory (proc(5)).
struct ProcessUse {
  private let directory: String

  init(_ process: Int) throws {
    directory = "/proc/\(process)"
    _ = try cpuTime()
  }

  /// That of all its threads so far. The kernel counts to the nanosecond how long each has run, but divides that into
  /// user space and itself by where its clock's ticks have found the thread.
  func cpuTime() throws -> CPUTime {
    let ticks = try sampledTime()
    return CPUTime(all: try runTime(), sampledUser: ticks.user, sampledSystem: ticks.system)
  }

  /// In seconds; of the threads that there are now.
  private func runTime() throws -> Double {
    try Directory("\(directory)/task").names().reduce(0) { sum, thread in
      let text = String(decoding: try readFile("\(directory)/task/\(thread)/schedstat", limit: 4096), as: UTF8.self)
      guard let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) }) else {
        throw Errno.invalidArgument
      }
      return sum + nanoseconds / 1e9
    }
  }

  private func sampledTime() throws -> (user: Double, system: Double) {
    let text = String(decoding: try readFile("\(directory)/stat", limit: 4096), as: UTF8.self)
    // The name, which may hold anything, ends with the last parenthesis; `utime` is the 14th field.
    let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
      throw Errno.invalidArgument
    }
    let tick = Double(sysconf(CInt(_SC_CLK_TCK)))
    return (user / tick, system / tick)
  }

  /// Resident bytes that no file stands behind: what the process has made itself. Buffers in the kernel are not among
  /// them.
  func anonymousMemory() throws -> Int {
    let text = String(decoding: try readFile("\(directory)/status", limit: 16384), as: UTF8.self)
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
    else { throw Errno.invalidArgument }
    return kilobytes << 10
  }
}

/// CPU seconds, in user space and in the kernel.
struct CPUTime {
  var all = 0.0
  /// Where the kernel's ticks have found it.
  var sampledUser = 0.0
  var sampledSystem = 0.0

  /// In user space, as far as the ticks tell.
  var user: Double {
    let sampled = sampledUser + sampledSystem
    return sampled > 0 ? all * sampledUser / sampled : 0
  }

  static func - (later: CPUTime, earlier: CPUTime) -> CPUTime {
    CPUTime(
      all: later.all - earlier.all, sampledUser: later.sampledUser - earlier.sampledUser,
      sampledSystem: later.sampledSystem - earlier.sampledSystem)
  }
}

/// How long something took, and what the two processes used meanwhile.
struct Measurement {
  var seconds: Double
  var relay: CPUTime
  var own: CPUTime

  static func take(_ relay: ProcessUse, _ own: ProcessUse, _ body: () throws -> Void) throws -> Measurement {
    let began = Instant.now()
    let (relayBefore, ownBefore) = (try relay.cpuTime(), try own.cpuTime())
    try body()
    let (relayAfter, ownAfter) = (try relay.cpuTime(), try own.cpuTime())
    return Measurement(
      seconds: Instant.now().since(began).seconds, relay: relayAfter - relayBefore, own: ownAfter - ownBefore)
  }
}
