internal import CLinux
internal import Glibc
public import SystemPackage

/// A right that root has by itself (capabilities(7)).
public enum Capability: Int, Sendable {
  /// Interfaces, addresses and routes.
  case netAdmin = 12
  /// Ports below 1024.
  case bindService = 10
}

/// Why rights could not be given up. The rights left are undefined, so the process has to end.
public struct PrivilegeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What failed, to follow "cannot".
  public let step: String
  /// `nil` if every call succeeded and the rights are still there.
  public let error: Errno?

  public var description: String {
    "cannot \(step): \(error?.description ?? "the system calls succeed but change nothing")"
  }
}

/// Gives up this process's rights for good, and checks that they are gone. Rights belong to threads, so this is for the
/// main thread while there is no other.
public enum Privileges {
  /// Becomes `user` with that user's primary group alone, and then `keepOnly`s `capabilities`. Needs root.
  public static func drop(to user: User, keeping capabilities: Set<Capability>) throws(PrivilegeError) {
    precondition(isOnlyThread, "rights are given up before there are threads")
    let canBound = try emptyBoundingSet()
    try attempt("become the user \(user.name)") { clinux_become(user.id, user.group) }
    try keepOnly(capabilities)

    var users: [uid_t] = [0, 0, 0]
    var groups: [gid_t] = [0, 0, 0]
    try attempt("tell who this process is") { clinux_identity(&users, &groups) }
    let isBound = !canBound || clinux_bounding_set_size() == 0
    let isUser = users.allSatisfy { $0 == user.id } && groups.allSatisfy { $0 == user.group } && getgroups(0, nil) == 0
    guard isUser, isBound, user.id == 0 || setuid(0) != 0 else {
      throw PrivilegeError(step: "become the user \(user.name)", error: nil)
    }
  }

  /// Keeps those of `capabilities` that this process has, and no others. Running another program, even root's or one
  /// that is set-user-ID, gains none.
  public static func keepOnly(_ capabilities: Set<Capability>) throws(PrivilegeError) {
    precondition(isOnlyThread, "rights are given up before there are threads")
    let kept = capabilities.reduce(0) { $0 | 1 << UInt64($1.rawValue) } & (try current().permitted)
    let canBound = try emptyBoundingSet()
    try attempt("give up capabilities") { clinux_set_capabilities(kept) }
    try attempt("forbid new privileges") { clinux_gain_no_privileges() }

    let now = try current()
    guard now.effective == kept, now.permitted == kept, now.inheritable == 0,
      !canBound || clinux_bounding_set_size() == 0
    else {
      throw PrivilegeError(step: "give up capabilities", error: nil)
    }
  }

  /// Whether the calling thread may use `capability` now.
  public static func has(_ capability: Capability) -> Bool {
    guard let rights = try? current() else { return false }
    return rights.effective & 1 << UInt64(capability.rawValue) != 0
  }

  /// CAP_SETPCAP: the right to change the bounding set.
  private static let setPCap: UInt64 = 1 << 8

  /// False: this process lacks the right.
  private static func emptyBoundingSet() throws(PrivilegeError) -> Bool {
    guard try current().effective & setPCap != 0 else { return false }
    try attempt("empty the bounding set") { clinux_empty_bounding_set() }
    return true
  }

  private static func current() throws(PrivilegeError) -> (effective: UInt64, permitted: UInt64, inheritable: UInt64) {
    var (effective, permitted, inheritable) = (UInt64(0), UInt64(0), UInt64(0))
    try attempt("tell what this process may do") { clinux_capabilities(&effective, &permitted, &inheritable) }
    return (effective, permitted, inheritable)
  }

  private static func attempt(_ step: String, _ call: () -> CInt) throws(PrivilegeError) {
    let result = call()
    if result < 0 { throw PrivilegeError(step: step, error: Errno(rawValue: -result)) }
  }

  /// True also without /proc, which alone tells.
  private static var isOnlyThread: Bool {
    guard let threads = try? Directory("/proc/self/task").names() else { return true }
    return threads.count <= 1
  }
}
