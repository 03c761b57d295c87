internal import CLinux
internal import Glibc
public import SystemPackage

/// A file that is open for reading, and can be passed to another process by a local socket. For any thread, one at a
/// time.
public final class OpenFile: Sendable {
  public let descriptor: Descriptor

  public init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  /// Opens a file, which must not be a symbolic link, and removes its name. The file exists for as long as it is open.
  public convenience init(removing path: String) throws(Errno) {
    self.init(try Descriptor { open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) })
    try checked { unlink(path) }
  }

  /// In bytes.
  public func size() throws(Errno) -> Int {
    Int(try descriptor.status().st_size)
  }

  /// Reads the whole file from its beginning, and gives it to `take` piece by piece.
  public func forEachPiece(_ take: (UnsafeRawBufferPointer) throws(Errno) -> Void) throws(Errno) {
    let buffer = RawBuffer(count: 256 << 10)
    var offset: off_t = 0
    while true {
      let count = try checked { pread(descriptor.raw, buffer.bytes.baseAddress, buffer.count, offset) }
      if count == 0 { return }
      offset += off_t(count)
      try take(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
    }
  }

  /// Replaces the file at `path` by a copy that only this user may read and write (0600). After a crash, either the
  /// whole copy or the former file is at `path`.
  public func copy(to path: String) throws(Errno) {
    let (directory, name) = splitPath(path)
    try Directory(directory, followingLinks: true).write(name, over: .replace) { copy throws(Errno) in
      try forEachPiece { piece throws(Errno) in try copy.writeAll(piece) }
    }
  }
}

extension Descriptor {
  /// As `send`, on a local socket, together with an open file.
  public borrowing func send(_ bytes: UnsafeRawBufferPointer, with file: OpenFile) throws(Errno) -> Int? {
    let result = clinux_send_descriptor(raw, bytes.baseAddress, bytes.count, file.descriptor.raw)
    return [-EAGAIN, -EINTR].contains(result) ? nil : Int(try shim(result))
  }

  /// As `read`, from a local socket, with the open file that was sent together with the bytes, if any.
  public borrowing func receive(
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> (count: Int, file: OpenFile?)? {
    var received: CInt = -1
    let result = clinux_receive_descriptor(raw, buffer.baseAddress, buffer.count, &received)
    let file = received < 0 ? nil : OpenFile(Descriptor(owning: received))
    return [-EAGAIN, -EINTR].contains(result) ? nil : (Int(try shim(result)), file)
  }
}
