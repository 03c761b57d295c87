import Glibc
import Identity
import SystemIO
import TestSupport
import Testing
import Wire

@Suite struct KeyFileTests {
  @Test func `a key is made once and stays`() throws {
    let temporary = TemporaryDirectory()
    let file = KeyFile.device(in: try StateDirectory(temporary.path))
    #expect(try file.load() == nil)
    #expect(try file.loadOrCreate { key(1) } == key(1))
    #expect(try file.loadOrCreate { key(2) } == key(1))
    #expect(try file.load() == key(1))
    #expect(file.path == temporary.file("device.key"))
    #expect(mode(file.path) == 0o600)
    #expect(content(of: file.path) == "mnedc-private-key:\(Base64URL.encode(key(1)))\n")
    #expect(try KeyFile.relay(in: StateDirectory(temporary.path)).load() == nil)
  }

  @Test func `all that start at once get the same key`() throws {
    let temporary = TemporaryDirectory()
    let path = temporary.path
    let keys = Mailbox<[UInt8]>()
    let threads = (1...8).map { number in
      SystemThread.start(name: "starter") {
        guard let directory = try? StateDirectory(path) else { return }
        keys.put((try? KeyFile.relay(in: directory).loadOrCreate { key(UInt8(number)) }) ?? [])
      }
    }
    for thread in threads { thread.join() }
    #expect(keys.items.count == 8 && Set(keys.items).count == 1)
    #expect(keys.items.first == (try KeyFile.relay(in: StateDirectory(path)).load()))
  }

  @Test func `a rotation can be interrupted at each step`() throws {
    let temporary = TemporaryDirectory()
    func file() throws -> KeyFile { KeyFile.device(in: try StateDirectory(temporary.path)) }
    _ = try file().loadOrCreate { key(1) }
    #expect(try file().loadNext() == nil)
    #expect(
      refusal { () throws(StateError) in try KeyFile.device(in: StateDirectory(temporary.path)).promoteNext() } != nil)
    #expect(try file().loadOrCreateNext { key(2) } == key(2))
    #expect(try file().load() == key(1))
    // Whoever takes it up again goes on with the key that may be known already.
    #expect(try file().loadOrCreateNext { key(3) } == key(2))
    try file().promoteNext()
    #expect(try file().load() == key(2))
    #expect(try file().loadNext() == nil)
    _ = try file().loadOrCreateNext { key(4) }
    try file().removeNext()
    #expect(try file().loadNext() == nil && file().load() == key(2))
    #expect(mode(temporary.file("device.key")) == 0o600)
  }

  @Test(arguments: [
    "", "\n", "mnedc-private-key:\n", "mnedc-private-key:" + String(repeating: "A", count: 43),
    "mnedc-private-key:" + String(repeating: "A", count: 42) + "\n",
    "mnedc-private-key:" + String(repeating: "A", count: 42) + "B\n",
    "mnedc-private-key:" + String(repeating: "A", count: 43) + "\n\n",
    "mnedc-private-key:" + String(repeating: "A", count: 43) + "\r\n",
    "mnedc-device:" + String(repeating: "A", count: 43) + "\n", String(repeating: "A", count: 32), "\u{0}\u{FFFD}",
  ])
  func `what is no key is refused and kept, and nothing of it is said`(text: String) throws {
    let temporary = TemporaryDirectory()
    let file = KeyFile.relay(in: try StateDirectory(temporary.path))
    put(text, at: file.path)
    let error = refusal { () throws(StateError) in try file.loadOrCreate { key(1) } }
    #expect(error?.kind == .damaged)
    #expect(
      error?.description
        == "\(file.path) holds no private key (one line that begins with mnedc-private-key:); restore it from a backup,"
        + " or "
        + "remove it to get a new one: every device has to be told the relay's new key then")
    #expect(content(of: file.path) == text)
  }

  @Test func `a key that others may know is refused`() throws {
    let temporary = TemporaryDirectory()
    let file = KeyFile.device(in: try StateDirectory(temporary.path))
    _ = try file.loadOrCreate { key(1) }
    for mode in [0o640, 0o604, 0o660, 0o644] as [mode_t] {
      chmod(file.path, mode)
      #expect(refusal { () throws(StateError) in try file.load() }?.kind == .unsafe)
    }
    chmod(file.path, 0o400)
    #expect(try file.load() == key(1))
    rename(file.path, temporary.file("moved"))
    symlink("moved", file.path)
    #expect(refusal { () throws(StateError) in try file.loadOrCreate { key(2) } }?.kind == .unsafe)
    put(String(repeating: "A", count: 5000), at: file.path)
    #expect(refusal { () throws(StateError) in try file.load() }?.description.contains("larger than") == true)
  }
}
