import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FilesTests {
  @Test func `a FIFO that nobody writes to is refused at once where a regular file is due`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("fifo")
    #expect(mkfifo(path, 0o600) == 0)
    for path in [path, "/dev/zero"] {
      #expect(throws: Errno.invalidArgument) { try readRegularFile(path, limit: 10) }
    }
    #expect(throws: Errno.isDirectory) { try readRegularFile(directory.path, limit: 10) }
    #expect(throws: Errno.noSuchFileOrDirectory) { try readRegularFile(directory.file("none"), limit: 10) }
  }

  @Test func `a regular file is read up to the limit`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("file")
    let file = Descriptor(owning: open(path, O_CREAT | O_WRONLY, 0o600))
    _ = try [UInt8](1...100).withUnsafeBytes { try file.write($0) }
    #expect(try readRegularFile(path, limit: 1000) == Array(1...100))
    #expect(try readRegularFile(path, limit: 7) == Array(1...7))
  }

  @Test func `a file that is written anew keeps its owner, group and mode`() throws {
    let place = TemporaryDirectory()
    let path = place.file("file")
    try writeNewPrivateFile(path, [1, 2, 3])
    #expect(chmod(path, 0o640) == 0)
    // Root may give a file to any group.
    let group = getuid() == 0 ? 4321 : getgid()
    #expect(chown(path, getuid(), group) == 0)
    let directory = try Directory(place.path)
    let former = try #require(try directory.attributes(of: "file"))
    try directory.rewrite("file", [9], like: former)
    let now = try #require(try directory.attributes(of: "file"))
    #expect(now.user == getuid() && now.group == group && now.mode == 0o640 && now.size == 1)
    #expect(try directory.names() == ["file"])
  }

  @Test func `a new private file is for its owner alone, and never in the place of another`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("new")
    let content = [UInt8](repeating: 7, count: 300_000)
    try writeNewPrivateFile(path, content)
    #expect(try FileAttributes(of: path).mode == 0o600)
    #expect(try readFile(path, limit: 1 << 20) == content)
    #expect(throws: Errno.fileExists) { try writeNewPrivateFile(path, [1]) }
    #expect(symlink("elsewhere", directory.file("link")) == 0)
    #expect(throws: Errno.fileExists) { try writeNewPrivateFile(directory.file("link"), [1]) }
    #expect(try readFile(path, limit: 1 << 20) == content)
  }

  @Test func `a path is made whole by where the process is`() throws {
    let whole = try absolutePath("some/file.yaml")
    #expect(whole.hasPrefix("/") && whole.hasSuffix("/some/file.yaml"))
    #expect(try absolutePath("/etc/x") == "/etc/x")
  }

  @Test func `whether others can change a file is a matter of its mode and of whose its group is`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("file")
    try writeNewPrivateFile(path, [1])
    for (mode, group, expected) in [
      (0o600, 4242, false), (0o644, 4242, false), (0o666, 0, true), (0o602, 0, true), (0o660, 0, false),
      (0o660, 4242, true),
    ] as [(mode_t, gid_t, Bool)] {
      // Root alone gives files to a group that it is not in.
      guard chown(path, getuid(), group) == 0, chmod(path, mode) == 0 else { continue }
      #expect(try FileAttributes(of: path).isWritableByOthers == expected, "\(String(mode, radix: 8)) of \(group)")
    }
    // Where each user has a group of the same number, it is that user's alone.
    if chown(path, 4242, 4242) == 0 { #expect(try !FileAttributes(of: path).isWritableByOthers) }
  }

  @Test func `a shared file is replaced only when something changes`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("hosts")
    try writeNewPrivateFile(path, [1, 2])
    let file = SharedFile(path, limit: 100)
    var calls = 0
    #expect(
      try !file.change {
        calls += 1
        return $0
      })
    #expect(calls == 1)
    #expect(try file.change { $0 + [3] })
    #expect(try readFile(path, limit: 100) == [1, 2, 3])
    #expect(throws: Errno.fileTooLarge) { try file.change { _ in [UInt8](repeating: 0, count: 101) } }
    #expect(try Directory(directory.path).names() == ["hosts"])
  }
}
