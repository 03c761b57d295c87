internal import CLinux
internal import Glibc
public import SystemPackage

/// What the file system says of a file.
public struct FileAttributes: Equatable, Sendable {
  public enum Kind: Sendable {
    case regular, directory, symbolicLink, other
  }

  public let kind: Kind
  /// The owner, and the group.
  public let user: UInt32
  public let group: UInt32
  /// Permissions alone, at most 0o7777.
  public let mode: UInt32
  /// In bytes.
  public let size: Int

  init(_ status: stat) {
    kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .directory
      case S_IFLNK: .symbolicLink
      default: .other
      }
    user = status.st_uid
    group = status.st_gid
    mode = status.st_mode & 0o7777
    size = Int(status.st_size)
  }

  /// Of the file at `path`; of a symbolic link, the link itself or its target.
  public init(of path: String, followingLinks: Bool = false) throws(Errno) {
    var status = stat()
    try checked { followingLinks ? stat(path, &status) : lstat(path, &status) }
    self.init(status)
  }

  /// The mode as chmod(1) takes it.
  public var octalMode: String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
  }

  /// Whether other users than the owner may change it: everybody, or a group that is neither root's, nor this process's
  /// own, nor the owner's private group (the one with the owner's number).
  public var isWritableByOthers: Bool {
    if mode & 0o002 != 0 { return true }
    return mode & 0o020 != 0 && group != 0 && group != getegid() && group != user
  }
}

// MARK: Reading

/// Reads at most `limit` bytes of a file.
public func readFile(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
  try Descriptor { open(path, O_RDONLY | O_CLOEXEC) }.readToEnd(limit: limit)
}

/// As `readFile`, but never waits: throws `isDirectory` for a directory, and `invalidArgument` for anything else that
/// is no regular file, such as a FIFO without a writer.
public func readRegularFile(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
  let file = try Descriptor { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
  switch FileAttributes(try file.status()).kind {
  case .regular: return try file.readToEnd(limit: limit)
  case .directory: throw .isDirectory
  case .symbolicLink, .other: throw .invalidArgument
  }
}

// MARK: Private files, which only their owner may read

/// Makes an empty file that only this user may read and write (0600). Throws `fileExists` if the name is taken.
public func makePrivateFile(_ path: String) throws(Errno) {
  _ = try Descriptor { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
}

/// As `makePrivateFile`, with content, on the disk when this returns. Removes a file that it cannot write whole.
public func writeNewPrivateFile(_ path: String, _ content: [UInt8]) throws(Errno) {
  let file = try Descriptor { open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600) }
  do {
    try file.writeAll(content)
    try checked { fsync(file.raw) }
  } catch {
    unlink(path)
    throw error
  }
}

/// Lets only its owner read and write a file; false if there is none.
@discardableResult
public func makePrivate(_ path: String) throws(Errno) -> Bool {
  try unlessMissing { chmod(path, 0o600) }
}

// MARK: Names

/// Whether there is anything at `path`.
public func exists(_ path: String) throws(Errno) -> Bool {
  var status = stat()
  return try unlessMissing { lstat(path, &status) }
}

/// Removes a file; false if there is none.
@discardableResult
public func removeFile(_ path: String) throws(Errno) -> Bool {
  try unlessMissing { unlink(path) }
}

/// Renames a file of `directory` over any other. The change is on the disk when this returns.
public func rename(_ name: String, to newName: String, in directory: String) throws(Errno) {
  try Directory(directory, followingLinks: true).move(name, to: newName)
}

/// Whether two paths lead to the same file; false if one of them does not exist.
public func isSameFile(_ path: String, _ other: String) -> Bool {
  var (status, otherStatus) = (stat(), stat())
  guard stat(path, &status) == 0, stat(other, &otherStatus) == 0 else { return false }
  return status.st_dev == otherStatus.st_dev && status.st_ino == otherStatus.st_ino
}

/// `path` seen from the present working directory, valid after this process changes that.
public func absolutePath(_ path: String) throws(Errno) -> String {
  guard !path.hasPrefix("/") else { return path }
  let directory = filledText(Int(PATH_MAX)) { getcwd($0, Int(PATH_MAX)) != nil }
  guard let directory else { throw Errno(rawValue: errno) }
  return "\(directory)/\(path)"
}

/// `path` without symbolic links.
public func realPath(_ path: String) throws(Errno) -> String {
  guard let found = realpath(path, nil) else { throw Errno(rawValue: errno) }
  defer { free(found) }
  return String(cString: found)
}

/// The directory and the name in it that a path consists of.
func splitPath(_ path: String) -> (directory: String, name: String) {
  guard let slash = path.lastIndex(of: "/") else { return (".", path) }
  let directory = slash == path.startIndex ? "/" : String(path[..<slash])
  return (directory, String(path[path.index(after: slash)...]))
}

// MARK: Locks

extension Descriptor {
  /// Locks the file (flock(2)) until the descriptor is closed. False: another holder kept the lock for this time.
  borrowing func lock(within time: Duration) throws(Errno) -> Bool {
    let deadline = Instant.now().advanced(by: time)
    while flock(raw, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else { throw Errno(rawValue: errno) }
      guard Instant.now() < deadline else { return false }
      sleep(for: .milliseconds(10))
    }
    return true
  }
}

/// A lock that one holder on this machine has at a time (flock on a file of its own), until the holder lets go or ends.
///
/// It belongs to the open file, not to the process, so it keeps out a second holder of the same process too. The file
/// stays: after its removal, another process could lock a new file of the same name.
public struct FileLock: ~Copyable, Sendable {
  private let file: Descriptor

  deinit {
    // Closing is not enough: while another thread starts a program, the child has a copy of the descriptor.
    flock(file.raw, LOCK_UN)
  }

  /// Takes the lock without waiting; `nil` if another has it. Makes the file if it is missing, with mode 0600, and
  /// writes this process's number into it.
  public static func take(_ path: String) throws(Errno) -> FileLock? {
    let file = try Descriptor { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    guard try file.lock(within: .zero) else { return nil }
    // For people only: the lock holds without it, such as on a full disk.
    if ftruncate(file.raw, 0) == 0 { try? file.writeAll(Array("\(getpid())\n".utf8)) }
    return FileLock(file: file)
  }

  /// The process that took the lock last, as far as its file says.
  public static func holder(of path: String) -> Int? {
    guard let content = try? readFile(path, limit: 32) else { return nil }
    return Int(String(decoding: content.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
  }
}
