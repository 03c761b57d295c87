internal import CLinux
internal import Glibc

/// A process of this host. Its start time and its PID namespace distinguish it from every other process that has or had
/// its number. As text, `process 4711 started 123456 in 4026531836`: the start in clock ticks since the host's boot.
public struct ProcessIdentity: Equatable, Sendable, CustomStringConvertible {
  public let process: Int
  private let start: Int
  private let namespace: Int

  /// The process that has this number now, or this one; `nil` where /proc does not tell.
  public init?(of process: Int = currentProcess()) {
    guard let namespace = Self.ownNamespace(), let start = Self.state(of: process)?.start else { return nil }
    (self.process, self.start, self.namespace) = (process, start, namespace)
  }

  /// From `description`; `nil` for any other text.
  public init?(_ text: some StringProtocol) {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 6, words[0] == "process", words[2] == "started", words[4] == "in",
      let process = Int(words[1]), let start = Int(words[3]), let namespace = Int(words[5]),
      (1...Int(pid_t.max)).contains(process)
    else { return nil }
    (self.process, self.start, self.namespace) = (process, start, namespace)
  }

  public var description: String { "process \(process) started \(start) in \(namespace)" }

  public enum Presence: Sendable {
    case runs
    case isGone
    /// The process is in another PID namespace, into which this process cannot look.
    case unknown
  }

  /// Whether it still runs.
  public var presence: Presence {
    guard namespace == Self.ownNamespace() else { return .unknown }
    // A signal finds a process that /proc hides (hidepid).
    if kill(pid_t(process), 0) < 0, errno == ESRCH { return .isGone }
    guard let state = Self.state(of: process) else { return .runs }
    return state.start == start && !state.hasEnded ? .runs : .isGone
  }

  private static func ownNamespace() -> Int? {
    var status = stat()
    return stat("/proc/self/ns/pid", &status) == 0 ? Int(status.st_ino) : nil
  }

  /// When a process began, and whether it has ended without its parent having waited for it; `nil` where /proc does not
  /// tell.
  private static func state(of process: Int) -> (start: Int, hasEnded: Bool)? {
    guard let content = try? readFile("/proc/\(process)/stat", limit: 4096),
      // The program's name is in parentheses, and may contain some.
      let end = content.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    let fields = content[(end + 1)...].split(separator: UInt8(ascii: " "))
    guard fields.count > 19, let start = Int(String(decoding: fields[19], as: UTF8.self)) else { return nil }
    return (start, fields[0].elementsEqual("Z".utf8) || fields[0].elementsEqual("X".utf8))
  }
}
