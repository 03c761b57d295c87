import Glibc
import Identity
import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct StateDirectoryTests {
  static let isRoot = geteuid() == 0

  // MARK: The directory

  @Test func `a missing directory is made, for nobody else to see`() throws {
    let parent = TemporaryDirectory()
    let path = parent.file("state")
    defer { rmdir(path) }
    let former = umask(0)
    _ = try StateDirectory(path)
    umask(former)
    #expect(mode(path) == 0o700)
    _ = try StateDirectory(path)
    let error = refusal { () throws(StateError) in try StateDirectory("\(parent.path)/none/state") }
    #expect(error?.kind == .system(.noSuchFileOrDirectory))
    #expect(error?.description.contains("the directory above it is missing") == true)
  }

  @Test func `what a killed process has left of a file is taken away`() throws {
    let directory = TemporaryDirectory()
    put("half", at: directory.file(".device.key.new"))
    put("whole", at: directory.file("device.key"))
    put("somebody's", at: directory.file(".hidden"))
    _ = try StateDirectory(directory.path)
    #expect(content(of: directory.file(".device.key.new")) == nil)
    #expect(content(of: directory.file("device.key")) == "whole")
    #expect(content(of: directory.file(".hidden")) == "somebody's")
  }

  @Test func `a file does not grow beyond what can be read again`() throws {
    let directory = TemporaryDirectory()
    let state = try StateDirectory(directory.path)
    try state.update("list", limit: 10, .trusted) { _ in [UInt8](repeating: 65, count: 10) }
    let error = refusal { () throws(StateError) in
      try state.update("list", limit: 10, .trusted) { former in (former ?? []) + [65] }
    }
    #expect(error?.description.contains("no room for more") == true)
    #expect(content(of: directory.file("list")) == "AAAAAAAAAA")
  }

  @Test(arguments: [0o701, 0o710, 0o720, 0o750, 0o755, 0o777] as [mode_t])
  func `a directory that others can enter is refused, with the cure`(mode: mode_t) throws {
    let directory = TemporaryDirectory()
    chmod(directory.path, mode)
    let error = refusal { () throws(StateError) in try StateDirectory(directory.path) }
    #expect(
      error?.description
        == "\(directory.path) is open to other users (mode 0\(String(mode, radix: 8))); close it with chmod 700 "
        + directory.path)
    #expect(error?.kind == .unsafe)
    chmod(directory.path, 0o700)
    _ = try StateDirectory(directory.path)
  }

  @Test func `a symbolic link, a file and a FIFO are no directory`() throws {
    let parent = TemporaryDirectory()
    let path = parent.file("state")
    symlink(parent.path, path)
    let link = refusal { () throws(StateError) in try StateDirectory(path) }
    #expect(link?.description == "\(path) is a symbolic link; name the directory that it leads to with --state")
    put("", at: path)
    let file = refusal { () throws(StateError) in try StateDirectory(path) }
    #expect(file?.description == "\(path) is no directory; remove it, or name another with --state")
    unlink(path)
    mkfifo(path, 0o600)
    #expect(refusal { () throws(StateError) in try StateDirectory(path) }?.kind == .unsafe)
  }

  @Test(.enabled(if: isRoot, "only root gives files away"))
  func `a directory of another user is refused, with the cure`() throws {
    let directory = TemporaryDirectory()
    chown(directory.path, 4321, 4321)
    let error = refusal { () throws(StateError) in try StateDirectory(directory.path) }
    #expect(
      error?.description
        == "\(directory.path) belongs to user 4321 in place of 0; chown -R 0 \(directory.path), or name another with "
        + "--state"
    )
  }

  @Test(.enabled(if: isRoot, "only root gives files away"))
  func `what is root's goes to the user that root will become, and what is written goes there too`() throws {
    let daemon = try #require(try User(named: "daemon"))
    let temporary = TemporaryDirectory()
    put("old", at: temporary.file("relay.old"))
    symlink("/etc/hostname", temporary.file("device.link"))
    let directory = try StateDirectory(temporary.path, for: daemon)
    #expect(try directory.create("relay.new", [1]))
    try directory.update("relay.old", limit: 10, .secret) { _ in [2] }
    for name in ["", "relay.old", "relay.new", "device.link"] {
      var status = stat()
      #expect(lstat(temporary.file(name), &status) == 0)
      #expect(status.st_uid == daemon.id && status.st_gid == daemon.group, "\(name)")
    }
    var status = stat()
    #expect(stat("/etc/hostname", &status) != 0 || status.st_uid == 0, "a link's target must stay")
    _ = try StateDirectory(temporary.path, for: daemon)
    #expect(refusal { () throws(StateError) in try StateDirectory(temporary.path) }?.kind == .unsafe)
  }

  // MARK: Files

  @Test func `a file is made once, replaced as a whole, and gone when removed`() throws {
    let temporary = TemporaryDirectory()
    let directory = try StateDirectory(temporary.path)
    #expect(try directory.read("file", limit: 10, .secret) == nil)
    #expect(try directory.create("file", [1, 2]))
    #expect(try !directory.create("file", [3]))
    #expect(try directory.read("file", limit: 2, .secret) == [1, 2])
    #expect(mode(temporary.file("file")) == 0o600)
    try directory.update("file", limit: 10, .secret) { $0.map { $0 + [3] } }
    try directory.update("file", limit: 10, .secret) { _ in nil }
    #expect(try directory.read("file", limit: 10, .secret) == [1, 2, 3])
    try directory.move("file", to: "other")
    #expect(try directory.read("file", limit: 10, .secret) == nil)
    try directory.remove("other")
    try directory.remove("other")
    #expect(try directory.read("other", limit: 10, .secret) == nil)
    #expect(refusal { () throws(StateError) in try directory.move("none", to: "other") } != nil)
  }

  @Test func `what a killed writer left is in nobody's way`() throws {
    let temporary = TemporaryDirectory()
    let directory = try StateDirectory(temporary.path)
    put("half", at: temporary.file(".file.new"))
    #expect(try directory.create("file", [1]))
    put("half", at: temporary.file(".file.new"))
    link(temporary.file("file"), temporary.file(".file.new"))
    try directory.update("file", limit: 10, .secret) { _ in [2] }
    #expect(try directory.read("file", limit: 10, .secret) == [2])
    #expect(mode(temporary.file(".file.new")) == nil)
  }

  @Test func `a file that others had their hands on is refused, with the cure`() throws {
    let temporary = TemporaryDirectory()
    let directory = try StateDirectory(temporary.path)
    let path = temporary.file("file")
    func complaint(_ secrecy: StateDirectory.Secrecy) -> String? {
      refusal { () throws(StateError) in try directory.read("file", limit: 10, secrecy) }?.description
    }
    put("x", at: path, mode: 0o640)
    #expect(
      complaint(.secret)
        == "\(path) is open to other users (mode 0640); chmod 600 \(path), or remove it if one of them may have read it"
    )
    #expect(try directory.read("file", limit: 10, .trusted) == Array("x".utf8))
    chmod(path, 0o620)
    #expect(
      complaint(.trusted)
        == "\(path) can be changed by other users (mode 0620); look it through, then chmod 600 \(path)")
    put("0123456789a", at: path)
    #expect(
      complaint(.secret) == "\(path) is larger than 10 bytes, so this program did not write it; move it away")
    unlink(path)
    symlink("/etc/hostname", path)
    #expect(complaint(.secret) == "\(path) is a symbolic link; put the file itself in its place")
    unlink(path)
    mkfifo(path, 0o600)
    #expect(complaint(.trusted) == "\(path) is no regular file; remove it")
    if Self.isRoot {
      put("x", at: path)
      chown(path, 4321, 4321)
      #expect(complaint(.secret) == "\(path) belongs to user 4321 in place of 0; if it is yours, chown 0 \(path)")
    }
  }

  @Test func `writers do not lose each other's words`() throws {
    let temporary = TemporaryDirectory()
    let path = temporary.path
    let failures = Mailbox<String>()
    let threads = (0..<4).map { number in
      SystemThread.start(name: "writer") {
        do {
          // As processes of their own.
          let directory = try StateDirectory(path)
          for _ in 0..<25 { try directory.update("file", limit: 1000, .secret) { ($0 ?? []) + [UInt8(number)] } }
        } catch {
          failures.put("\(error)")
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(failures.items == [])
    let content = try StateDirectory(path).read("file", limit: 1000, .secret) ?? []
    #expect((0..<4).map { number in content.count { $0 == number } } == [25, 25, 25, 25])
  }
}
