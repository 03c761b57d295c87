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
    for path in [path, "/dev/zero", directory.path] {
      #expect(throws: Errno.invalidArgument) { try readRegularFile(path, limit: 10) }
    }
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

  @Test func `a path is made whole by where the process is`() throws {
    let whole = try absolutePath("some/file.yaml")
    #expect(whole.hasPrefix("/") && whole.hasSuffix("/some/file.yaml"))
    #expect(try absolutePath("/etc/x") == "/etc/x")
  }
}
