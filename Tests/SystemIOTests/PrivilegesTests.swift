import CLinux
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import SystemIO

/// Rights are given up for good, so that is done by a program of the tests, `privilege-dropper`, which checks what is
/// left.
@Suite(.enabled(if: geteuid() == 0, "only root has rights to give up")) struct PrivilegesTests {
  private func expectAllIsWell(_ task: String...) {
    let outcome = OtherProgram(named: "privilege-dropper", task).finish()
    #expect(outcome.end == .exited(0), "\(outcome.output)")
  }

  @Test func `root becomes another user for good, with the rights that are kept`() {
    expectAllIsWell("become", "daemon")
    expectAllIsWell("become", "daemon", "net-admin")
  }

  @Test func `root stays root with one right, and a second time changes nothing`() {
    expectAllIsWell("keep-twice")
  }

  @Test func `a right that is given up does not come back, and root's own files stay open to it`() {
    let directory = TemporaryDirectory()
    let path = directory.file("own")
    close(open(path, O_CREAT | O_WRONLY, 0o600))
    expectAllIsWell("keep-none", path)
  }

  @Test func `an ordinary user has nothing to become another with, and nothing to keep`() {
    expectAllIsWell("ordinary", "daemon", "bin")
  }

  @Test func `beside another thread nothing is done`() {
    let outcome = OtherProgram(named: "privilege-dropper", ["beside-a-thread"]).finish()
    #expect(outcome.end == .killed(by: SIGILL) || outcome.end == .killed(by: SIGTRAP))
    #expect(outcome.output.contains("rights are given up before there are threads"))
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
    expectAllIsWell("listen", path, "daemon")
    unlink(path + ".other")
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
