import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FileWatchTests {
  private static func put(_ text: String, at path: String) {
    let file = Descriptor(owning: open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600))
    _ = try? Array(text.utf8).withUnsafeBytes { try file.write($0) }
  }

  /// Watches `path` while `body` runs, which gets a function that waits for so many changes more.
  private static func watching(_ path: String, _ body: (_ changes: (Int) -> Bool) throws -> Void) throws {
    let thread = try LoopThread()
    let told = Mailbox<String>()
    let watch = thread.run {
      LoopBound(try? FileWatch([path], on: thread.loop) { told.put($0) })
    }
    var seen = 0
    try body { count in
      let isThere = told.waitFor(seen + count).count >= seen + count
      thread.run {}
      seen = told.items.count
      return isThere
    }
    #expect(told.items.allSatisfy { $0 == path })
    thread.run { watch?.value?.stop() }
    thread.stop()
  }

  @Test func `a change is told, whether the file is written in place, replaced, removed or made anew`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("hosts")
    Self.put("a", at: path)
    try Self.watching(path) { changes in
      Self.put("b", at: path)
      #expect(changes(1))
      Self.put("c", at: directory.file("new"))
      #expect(rename(directory.file("new"), path) == 0)
      #expect(changes(1))
      // The file that has come in its place is watched like the former one.
      Self.put("d", at: path)
      #expect(changes(1))
      #expect(unlink(path) == 0)
      #expect(changes(1))
      Self.put("e", at: path)
      #expect(changes(1))
    }
  }

  @Test func `a file that is written under another name is told of, and other files are not`() throws {
    let directory = TemporaryDirectory()
    let (path, other) = (directory.file("hosts"), directory.file("other"))
    Self.put("a", at: path)
    // As one that is mounted by itself: it changes without its directory.
    let elsewhere = TemporaryDirectory()
    #expect(link(path, elsewhere.file("alias")) == 0)
    try Self.watching(path) { changes in
      Self.put("b", at: other)
      Self.put("c", at: elsewhere.file("alias"))
      #expect(changes(1))
    }
  }

  @Test func `a directory that comes later is watched from the next refresh on`() throws {
    let parent = TemporaryDirectory()
    let directory = parent.file("later")
    let path = "\(directory)/file"
    let thread = try LoopThread()
    let told = Mailbox<String>()
    let watch = thread.run { LoopBound(try? FileWatch([path], on: thread.loop) { told.put($0) }) }
    #expect(mkdir(directory, 0o700) == 0)
    thread.run { watch?.value?.refresh() }
    Self.put("a", at: path)
    #expect(told.waitFor(1).first == path)
    thread.run { watch?.value?.stop() }
    unlink(path)
    rmdir(directory)
    thread.stop()
  }
}
