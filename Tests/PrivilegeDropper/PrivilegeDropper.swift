import CLinux
import Glibc
import SystemIO
import SystemPackage

/// What the tests of rights do in a process of its own, since rights are given up for good: `privilege-dropper TASK
/// [ARGUMENT...]`. It exits with 0 if all was as it should be; else a line says what was not.
@main struct PrivilegeDropper {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst(2).map { $0 }
    switch CommandLine.arguments[1] {
    case "become": try become(user(arguments[0]), keeping: arguments.count > 1 ? [.netAdmin] : [])
    case "keep-twice": try keepTwice()
    case "keep-none": try keepNone(ownFile: arguments[0])
    case "ordinary": try actAsOrdinary(user(arguments[0]), other: user(arguments[1]))
    case "beside-a-thread": try keepBesideAThread()
    case "listen": try listen(at: arguments[0], as: user(arguments[1]))
    default: fatalError("no such task")
    }
  }

  private static func become(_ user: User, keeping kept: Set<Capability>) throws {
    try Privileges.drop(to: user, keeping: kept)
    checkRights(kept.isEmpty ? 0 : netAdmin)
    checkIdentity(user)
  }

  private static func keepTwice() throws {
    try Privileges.keepOnly([.netAdmin])
    try Privileges.keepOnly([.netAdmin])
    checkRights(netAdmin)
    checkIsRoot()
  }

  private static func keepNone(ownFile path: String) throws {
    try Privileges.keepOnly([])
    try Privileges.keepOnly([.netAdmin])
    checkRights(0)
    checkIsRoot()
    check(open(path, O_RDWR) >= 0, "root's own file is closed to it")
  }

  private static func actAsOrdinary(_ user: User, other: User) throws {
    check(clinux_become(user.id, user.group) == 0, "root cannot become \(user.name)")
    do throws(PrivilegeError) {
      try Privileges.drop(to: other, keeping: [])
      fail("\(user.name) has become \(other.name)")
    } catch {
      check(error.error == .notPermitted && error.step == "become the user \(other.name)", "\(error)")
    }
    // The bounding set is not an ordinary user's to change.
    try Privileges.keepOnly([.netAdmin])
  }

  private static func keepBesideAThread() throws {
    SystemThread.detach(name: "other") { sleep(for: .seconds(60)) }
    try Privileges.keepOnly([])
  }

  private static func listen(at path: String, as user: User) throws {
    do {
      let listener = try UnixListener(path: path, mode: 0o666, for: user)
      let other = path + ".other"
      close(open(other, O_CREAT | O_WRONLY, 0o600))
      try Privileges.drop(to: user, keeping: [])
      check(unlink(other) != 0, "another's file is \(user.name)'s to remove")
      _ = listener.descriptor.raw
    }
    check(access(path, F_OK) != 0, "the socket was not removed")
  }

  // MARK: What is checked

  private static let netAdmin: UInt64 = 1 << 12

  private static func checkRights(_ capabilities: UInt64) {
    var (effective, permitted, inheritable) = (UInt64(0), UInt64(0), UInt64(0))
    check(clinux_capabilities(&effective, &permitted, &inheritable) == 0, "nobody tells what this process may do")
    check(
      effective == capabilities && permitted == capabilities && inheritable == 0,
      "capabilities \(effective), \(permitted), \(inheritable)")
    check(clinux_bounding_set_size() == 0, "the bounding set is not empty")
    check(clinux_set_capabilities(.max) != 0, "capabilities come back")
  }

  private static func checkIdentity(_ user: User) {
    let (users, groups) = identity()
    let isUser = users.allSatisfy { $0 == user.id } && groups.allSatisfy { $0 == user.group }
    check(isUser, "users \(users), groups \(groups)")
    check(getgroups(0, nil) == 0, "there are other groups")
    check(setuid(0) != 0 && setgid(0) != 0, "root comes back")
    check(open("/etc/shadow", O_RDONLY) < 0, "root's files are open")
  }

  private static func checkIsRoot() {
    check(identity().users == [0, 0, 0], "root is not root any more")
  }

  private static func identity() -> (users: [uid_t], groups: [gid_t]) {
    var users: [uid_t] = [0, 0, 0]
    var groups: [gid_t] = [0, 0, 0]
    check(clinux_identity(&users, &groups) == 0, "nobody tells who this process is")
    return (users, groups)
  }

  private static func user(_ name: String) throws -> User {
    guard let user = try User(named: name) else { fail("there is no user \(name)") }
    return user
  }

  private static func check(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition { fail(text()) }
  }

  private static func fail(_ text: String) -> Never {
    try? writeOut(text)
    exit(1)
  }
}
