import CLinux
import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct UnixSocketTests {
  private func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private func mode(_ path: String) -> UInt32 {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
  }

  private func isThisProcess(_ credentials: PeerCredentials) -> Bool {
    credentials.process == getpid() && credentials.user == getuid() && credentials.group == getgid()
  }

  private func makeFile(_ path: String) {
    close(open(path, O_CREAT | O_WRONLY, 0o600))
  }

  /// Leaves a socket file as a killed process would.
  private func leaveStale(_ path: String, type: CInt = CInt(SOCK_STREAM.rawValue)) throws -> Descriptor {
    let socket = Descriptor(owning: socket(AF_UNIX, type, 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafeBytes(of: address) {
      bind(socket.raw, $0.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t($0.count))
    }
    try #require(result == 0)
    return socket
  }

  @Test func `a listener makes its directory, has the mode asked for, and takes connections`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("run") + "/test.sock"
    defer { rmdir(directory.file("run")) }
    let listener = try UnixListener(path: path, mode: 0o660)
    #expect(mode(path) == 0o660)
    #expect(mode(directory.file("run")) & 0o700 == 0o700)
    let client = RawFrameClient(try Descriptor.connected(toUnix: path))
    let accepted = try listener.accept()
    guard let accepted else {
      Issue.record("nobody connected")
      return
    }
    #expect(isThisProcess(try accepted.peerCredentials()))
    try client.send(frameBytes(.ping, [1]))
    #expect(try RawFrameClient(accepted).receive().payload == [1])
  }

  @Test func `a listener's file goes with it`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    do {
      let listener = try UnixListener(path: path, mode: 0o600)
      #expect(exists(path))
      _ = listener.descriptor.raw
    }
    #expect(!exists(path))
  }

  @Test func `a file that another one put in its place stays`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    do {
      let listener = try UnixListener(path: path, mode: 0o600)
      unlink(path)
      makeFile(path)
      _ = listener.descriptor.raw
    }
    #expect(exists(path))
  }

  @Test func `the socket of a killed process is replaced`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    do { _ = try leaveStale(path) }
    #expect(exists(path))
    let listener = try UnixListener(path: path, mode: 0o600)
    _ = try Descriptor.connected(toUnix: path)
    let accepted = try listener.accept()
    switch accepted {
    case nil: Issue.record("nobody connected")
    case .some: break
    }
  }

  @Test func `a living listener is left alone and named`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    let listener = try UnixListener(path: path, mode: 0o600)
    do {
      _ = try UnixListener(path: path, mode: 0o600)
      Issue.record("the socket was taken over")
    } catch UnixListenerError.inUse(let owner) {
      #expect(isThisProcess(owner))
    }
    #expect(exists(path))
    _ = try Descriptor.connected(toUnix: path)
    _ = listener.descriptor.raw
  }

  @Test func `a living socket of another type is left alone`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    let other = try leaveStale(path, type: CInt(SOCK_DGRAM.rawValue))
    do {
      _ = try UnixListener(path: path, mode: 0o600)
      Issue.record("the socket was taken over")
    } catch UnixListenerError.system(let error) {
      #expect(error.rawValue == EPROTOTYPE)
    }
    #expect(exists(path))
    _ = other.raw
  }

  @Test func `a file that is no socket is left alone`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    makeFile(path)
    do {
      _ = try UnixListener(path: path, mode: 0o600)
      Issue.record("the file was replaced")
    } catch UnixListenerError.notASocket {}
    #expect(exists(path))
  }

  @Test func `a path takes 107 bytes and no more`() throws {
    let directory = TemporaryDirectory()
    let name = String(repeating: "x", count: 107 - directory.path.utf8.count - 1)
    _ = try UnixListener(path: directory.file(name), mode: 0o600)
    do {
      _ = try UnixListener(path: directory.file(name + "x"), mode: 0o600)
      Issue.record("the path was cut")
    } catch UnixListenerError.pathTooLong {}
    #expect(throws: Errno.fileNameTooLong) { _ = try Descriptor.connected(toUnix: directory.file(name + "x")) }
  }

  @Test func `a directory that cannot be made is a system error`() throws {
    do {
      _ = try UnixListener(path: "/proc/no-such-directory/test.sock", mode: 0o600)
      Issue.record("a socket was made in /proc")
    } catch UnixListenerError.system {}
  }

  @Test func `nobody to connect to is refused, nothing there is not found`() throws {
    let directory = TemporaryDirectory()
    #expect(throws: Errno.noSuchFileOrDirectory) { _ = try Descriptor.connected(toUnix: directory.file("none")) }
    do { _ = try leaveStale(directory.file("stale")) }
    #expect(throws: Errno.connectionRefused) { _ = try Descriptor.connected(toUnix: directory.file("stale")) }
  }

  @Test func `of several that start at once on a stale socket one listens`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("test.sock")
    do { _ = try leaveStale(path) }
    let outcomes = Mailbox<String>()
    let threads = (0..<4).map { _ in
      SystemThread.start(name: "starter") {
        do throws(UnixListenerError) {
          let listener = try UnixListener(path: path, mode: 0o600)
          outcomes.put("listens")
          _ = outcomes.waitFor(4)
          _ = listener.descriptor.raw
        } catch {
          if case .inUse = error { outcomes.put("in use") } else { outcomes.put("\(error)") }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(outcomes.items.sorted() == ["in use", "in use", "in use", "listens"])
  }
}

@Suite struct DescriptorTests {
  private func bytes(_ count: Int, of descriptor: borrowing Descriptor) throws -> [UInt8] {
    let buffer = RawBuffer(count: count)
    guard let read = try descriptor.read(into: buffer.bytes) else { return [] }
    return Array(buffer.bytes[..<read])
  }

  @Test func `pieces are sent in order, as many as there is room for`() throws {
    let pair = try SocketPair()
    let first: [UInt8] = [1, 2, 3]
    let second: [UInt8] = [4, 5]
    try first.withUnsafeBytes { first in
      try second.withUnsafeBytes { second in
        var vectors = IOVectors(capacity: 3)
        var states = [vectors.isEmpty]
        vectors.append(first)
        vectors.append(second)
        states += [vectors.isEmpty, vectors.isFull]
        vectors.append(first)
        states.append(vectors.isFull)
        let sent = try vectors.send(to: pair.first)
        vectors.removeAll()
        states.append(vectors.isEmpty)
        #expect(states == [true, false, false, true, true])
        vectors.append(second)
        let sentAgain = try vectors.send(to: pair.first)
        let sentBoth = try pair.first.send(second, then: first)
        #expect([sent, sentAgain, sentBoth] == [8, 2, 5])
      }
    }
    #expect(try bytes(100, of: pair.second) == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 4, 5, 1, 2, 3])
  }

  @Test func `a full socket takes nothing, and an empty one has nothing`() throws {
    let pair = try SocketPair()
    let buffer = RawBuffer(count: 64 << 10)
    let nothingRead = try pair.first.read(into: buffer.bytes)
    let piece = UnsafeRawBufferPointer(buffer.bytes)
    while try pair.first.send(piece) != nil {}
    let nothingSent = try pair.first.send(piece, then: piece)
    var vectors = IOVectors(capacity: 1)
    vectors.append(piece)
    let nothingGathered = try vectors.send(to: pair.first)
    #expect([nothingRead, nothingSent, nothingGathered] == [nil, nil, nil])
  }

  @Test func `a read fills the first piece before the second`() throws {
    let pair = try SocketPair()
    _ = try [UInt8](0..<10).withUnsafeBytes { try pair.first.send($0) }
    let first = RawBuffer(count: 4)
    let second = RawBuffer(count: 20)
    #expect(try pair.second.read(into: first.bytes, then: second.bytes) == 10)
    #expect(Array(first.bytes) == [0, 1, 2, 3])
    #expect(Array(second.bytes[..<6]) == [4, 5, 6, 7, 8, 9])
    pair.first.shutDown()
    #expect(try pair.second.read(into: first.bytes, then: second.bytes) == 0)
  }

  @Test func `a released descriptor stays open`() throws {
    let pair = try SocketPair()
    let raw = pair.first.release()
    let again = Descriptor(owning: raw)
    #expect(again.takeSocketError() == nil)
    _ = pair.second.raw
  }

  @Test func `a process may use a core at least`() {
    #expect(usableCores() >= 1)
  }
}
