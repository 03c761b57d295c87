import CLinux
import CTestSupport
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import SystemIO

/// Rights are given up for good, so each test does it in a process of its own.
@Suite(.enabled(if: geteuid() == 0, "only root has rights to give up")) struct PrivilegesTests {
  /// What the process of a test says with its exit status.
  enum Outcome: Equatable {
    case ended(CInt)
    case trapped
  }

  /// Runs `body` in a forked process. Of what this process's other threads held there, nothing must be needed.
  private func inChild(_ body: @escaping () -> CInt) -> Outcome {
    let context = Unmanaged.passRetained(Body(run: body))
    defer { context.release() }
    let result = ctest_fork({ Unmanaged<Body>.fromOpaque($0!).takeUnretainedValue().run() }, context.toOpaque())
    #expect(result >= 0 && result != 100 + SIGALRM)
    return result >= 100 ? .trapped : .ended(result)
  }

  private final class Body {
    let run: () -> CInt
    init(run: @escaping () -> CInt) { self.run = run }
  }

  private static let netAdmin: UInt64 = 1 << 12

  /// 0, or which of the checks fails.
  private static func check(capabilities: UInt64, user: User?) -> CInt {
    var (effective, permitted, inheritable) = (UInt64(0), UInt64(0), UInt64(0))
    guard clinux_capabilities(&effective, &permitted, &inheritable) == 0 else { return 10 }
    guard effective == capabilities, permitted == capabilities, inheritable == 0 else { return 11 }
    guard clinux_bounding_set_size() == 0 else { return 12 }
    guard clinux_set_capabilities(.max) != 0 else { return 13 }
    var users: [uid_t] = [0, 0, 0]
    var groups: [gid_t] = [0, 0, 0]
    guard clinux_identity(&users, &groups) == 0 else { return 14 }
    guard let user else { return users == [0, 0, 0] ? 0 : 15 }
    guard users == [user.id, user.id, user.id], groups == [user.group, user.group, user.group] else { return 16 }
    guard getgroups(0, nil) == 0 else { return 17 }
    guard setuid(0) != 0, setgid(0) != 0 else { return 18 }
    guard open("/etc/shadow", O_RDONLY) < 0 else { return 19 }
    return 0
  }

  @Test(arguments: [[], [.netAdmin]] as [Set<Capability>])
  func `root becomes another user for good, with the rights that are kept`(kept: Set<Capability>) throws {
    let daemon = try #require(try User(named: "daemon"))
    #expect(
      inChild {
        do {
          try Privileges.drop(to: daemon, keeping: kept)
        } catch {
          return 1
        }
        return Self.check(capabilities: kept.isEmpty ? 0 : Self.netAdmin, user: daemon)
      } == .ended(0))
  }

  @Test func `root stays root with one right, and a second time changes nothing`() {
    #expect(
      inChild {
        do {
          try Privileges.keepOnly([.netAdmin])
          try Privileges.keepOnly([.netAdmin])
        } catch {
          return 1
        }
        return Self.check(capabilities: Self.netAdmin, user: nil)
      } == .ended(0))
  }

  @Test func `a right that is given up does not come back, and root's own files stay open to it`() {
    let directory = TemporaryDirectory()
    let path = directory.file("own")
    close(open(path, O_CREAT | O_WRONLY, 0o600))
    #expect(
      inChild {
        do {
          try Privileges.keepOnly([])
          try Privileges.keepOnly([.netAdmin])
        } catch {
          return 1
        }
        guard open(path, O_RDWR) >= 0 else { return 2 }
        return Self.check(capabilities: 0, user: nil)
      } == .ended(0))
  }

  @Test func `an ordinary user has nothing to become another with, and nothing to keep`() throws {
    let daemon = try #require(try User(named: "daemon"))
    let other = try #require(try User(named: "bin"))
    #expect(
      inChild {
        guard clinux_become(daemon.id, daemon.group) == 0 else { return 1 }
        do throws(PrivilegeError) {
          try Privileges.drop(to: other, keeping: [])
          return 2
        } catch {
          guard error.error == .notPermitted, error.step == "become the user bin" else { return 3 }
        }
        do {
          // The bounding set is not an ordinary user's to change.
          try Privileges.keepOnly([.netAdmin])
        } catch {
          return 4
        }
        return 0
      } == .ended(0))
  }

  @Test func `beside another thread nothing is done`() {
    #expect(
      inChild {
        SystemThread.detach(name: "other") { sleep(for: .seconds(20)) }
        try? Privileges.keepOnly([])
        return 0
      } == .trapped)
  }

  @Test func `a user is known by name, or is not`() throws {
    let root = try #require(try User(named: "root"))
    #expect(root.id == 0 && root.group == 0 && root.name == "root")
    #expect(try User(named: "no-such-user") == nil)
    #expect(try User(named: "") == nil)
  }

  @Test func `an error says what failed`() {
    #expect(
      PrivilegeError(step: "become the user x", error: .notPermitted).description
        == "cannot become the user x: Operation not permitted")
  }

  // MARK: What the user needs afterwards

  private func status(_ path: String) -> stat {
    var status = stat()
    #expect(lstat(path, &status) == 0)
    return status
  }

  @Test func `the user that root will become gets the socket, and may remove it`() throws {
    let daemon = try #require(try User(named: "daemon"))
    let directory = TemporaryDirectory()
    chmod(directory.path, 0o755)
    let run = directory.file("run")
    let path = run + "/test.sock"
    defer { rmdir(run) }
    #expect(
      inChild {
        do {
          let listener = try UnixListener(path: path, mode: 0o666, for: daemon)
          close(open(run + "/other", O_CREAT | O_WRONLY, 0o600))
          try Privileges.drop(to: daemon, keeping: [])
          // Another's file is not its own to remove.
          guard unlink(run + "/other") != 0 else { return 2 }
          _ = listener.descriptor.raw
        } catch {
          return 1
        }
        return access(path, F_OK) != 0 ? 0 : 3
      } == .ended(0))
    unlink(run + "/other")
    #expect(status(run).st_mode & 0o7777 == 0o1775)
    #expect(status(run).st_uid == 0 && status(run).st_gid == daemon.group)
  }

  @Test func `of the directories that are there only the shared one changes`() throws {
    let daemon = try #require(try User(named: "daemon"))
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    do {
      let listener = try UnixListener(path: path, mode: 0o666, for: daemon, shared: "/run/other")
      #expect(status(path).st_uid == daemon.id)
      _ = listener.descriptor.raw
    }
    #expect(status(directory.path).st_mode & 0o7777 == 0o700 && status(directory.path).st_gid == 0)
    do {
      let listener = try UnixListener(path: path, mode: 0o666, for: daemon, shared: directory.path)
      _ = listener.descriptor.raw
    }
    #expect(status(directory.path).st_mode & 0o7777 == 0o1775 && status(directory.path).st_gid == daemon.group)
    chown(directory.path, 4321, 4321)
    chmod(directory.path, 0o755)
    do {
      let listener = try UnixListener(path: path, mode: 0o666, for: daemon, shared: directory.path)
      _ = listener.descriptor.raw
    }
    #expect(status(directory.path).st_mode & 0o7777 == 0o755, "another's directory is not root's to share")
  }
}
