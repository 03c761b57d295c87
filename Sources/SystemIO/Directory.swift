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

  fileprivate init(_ status: stat) {
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

/// An open directory. Its files are reached through it, whatever becomes of its path; names are those of files in it, without
/// a slash. For any thread.
public struct Directory: ~Copyable, Sendable {
  private let descriptor: Descriptor

  private static let lockAttempts = 500
  private static let draftSuffix = ".new"

  /// Opens the directory at `path`, which is no symbolic link.
  public init(_ path: String) throws(Errno) {
    descriptor = Descriptor(
      owning: try checked { open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) })
  }

  /// Makes a directory of that mode, whatever the umask. False: something is there already.
  public static func make(_ path: String, mode: UInt32) throws(Errno) -> Bool {
    do {
      try checked { mkdir(path, mode) }
    } catch {
      if error == .fileExists { return false }
      throw error
    }
    try checked { chmod(path, mode) }
    return true
  }

  public borrowing func attributes() throws(Errno) -> FileAttributes {
    var status = stat()
    try checked { fstat(descriptor.raw, &status) }
    return FileAttributes(status)
  }

  public borrowing func setMode(_ mode: UInt32) throws(Errno) {
    try checked { fchmod(descriptor.raw, mode) }
  }

  public borrowing func setOwner(user: UInt32, group: UInt32) throws(Errno) {
    try checked { fchown(descriptor.raw, user, group) }
  }

  /// Gives every file in it, symbolic links themselves, to a user; then itself.
  public borrowing func handOver(user: UInt32, group: UInt32) throws(Errno) {
    for name in try names() {
      try checked { fchownat(descriptor.raw, name, user, group, AT_SYMLINK_NOFOLLOW) }
    }
    try setOwner(user: user, group: group)
  }

  /// Removes what a process that was killed in the middle of `write` has left. To be called with the lock.
  public borrowing func removeDrafts() throws(Errno) {
    for name in try names() where name.hasPrefix(".") && name.hasSuffix(Self.draftSuffix) { try remove(name) }
  }

  /// What is in it.
  public borrowing func names() throws(Errno) -> [String] {
    // A descriptor of its own, which closedir closes.
    let again = try checked { openat(descriptor.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard let stream = fdopendir(again) else {
      let error = Errno(rawValue: errno)
      close(again)
      throw error
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  /// What is under that name, a symbolic link itself; `nil` if nothing is.
  public borrowing func attributes(of name: String) throws(Errno) -> FileAttributes? {
    var status = stat()
    do {
      try checked { fstatat(descriptor.raw, name, &status, AT_SYMLINK_NOFOLLOW) }
    } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw error
    }
    return FileAttributes(status)
  }

  /// Opens a file, which is no symbolic link, without waiting for anything; reads it, but no more than `limit` bytes, and
  /// says what was opened.
  public borrowing func read(_ name: String, limit: Int) throws(Errno) -> (attributes: FileAttributes, content: [UInt8])
  {
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
    let file = Descriptor(owning: try checked { openat(descriptor.raw, name, flags) })
    var status = stat()
    try checked { fstat(file.raw, &status) }
    let attributes = FileAttributes(status)
    return (attributes, attributes.kind == .regular ? try file.readToEnd(limit: limit) : [])
  }

  /// What `write` does with a file that is there.
  public enum Existing: Sendable {
    case replace
    /// Throws `Errno.fileExists`, even if the file came to be at this very moment.
    case keep
  }

  /// Throws unless this user, with the rights that this process has now, can make files in it.
  public borrowing func checkWritable() throws(Errno) {
    try checked { faccessat(descriptor.raw, ".", W_OK | X_OK, AT_EACCESS) }
  }

  /// Makes a file with that content: it is there whole, on the disk, or it is not there. `owner` is for root to give. To be
  /// called with the lock.
  public borrowing func write(
    _ name: String, _ content: [UInt8], over existing: Existing, mode: UInt32 = 0o600, owner: User?
  ) throws(Errno) {
    try write(name, content, over: existing, mode: mode, owner: owner.map { ($0.id, $0.group) })
  }

  /// As `write`, over a file with these attributes: the new file gets the same owner, group and mode. If this process
  /// may not give files away, it writes into the old file, which a crash may leave incomplete. To be called with the
  /// lock.
  public borrowing func rewrite(_ name: String, _ content: [UInt8], like former: FileAttributes) throws(Errno) {
    do {
      try write(name, content, over: .replace, mode: former.mode, owner: (former.user, former.group))
    } catch {
      guard error == .notPermitted || error == .invalidArgument else { throw error }
      let file = Descriptor(owning: try checked { openat(descriptor.raw, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) })
      try Self.fill(file, with: content)
      try checked { ftruncate(file.raw, off_t(content.count)) }
      try checked { fsync(file.raw) }
    }
  }

  private static func fill(_ file: borrowing Descriptor, with content: [UInt8]) throws(Errno) {
    var rest = content[...]
    while !rest.isEmpty {
      let count = try checked {
        rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, allowed($0.count, by: file.raw)) }
      }
      rest = rest.dropFirst(count)
    }
  }

  private borrowing func write(
    _ name: String, _ content: [UInt8], over existing: Existing, mode: UInt32, owner: (user: UInt32, group: UInt32)?
  ) throws(Errno) {
    let draft = ".\(name)\(Self.draftSuffix)"
    // A process that was killed may have left it.
    _ = unlinkat(descriptor.raw, draft, 0)
    do {
      let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
      let file = Descriptor(owning: try checked { openat(descriptor.raw, draft, flags, 0o600) })
      try checked { fchmod(file.raw, mode) }
      if let owner { try checked { fchown(file.raw, owner.user, owner.group) } }
      try Self.fill(file, with: content)
      try checked { fsync(file.raw) }
      switch existing {
      case .replace:
        try checked { renameat(descriptor.raw, draft, descriptor.raw, name) }
      case .keep:
        try checked { linkat(descriptor.raw, draft, descriptor.raw, name, 0) }
        try checked { unlinkat(descriptor.raw, draft, 0) }
      }
    } catch {
      _ = unlinkat(descriptor.raw, draft, 0)
      throw error
    }
    try checked { fsync(descriptor.raw) }
  }

  /// Gives a file the place of another, at once and for good.
  public borrowing func move(_ name: String, to other: String) throws(Errno) {
    try checked { renameat(descriptor.raw, name, descriptor.raw, other) }
    try checked { fsync(descriptor.raw) }
  }

  /// Removes a file if it is there.
  public borrowing func remove(_ name: String) throws(Errno) {
    do {
      try checked { unlinkat(descriptor.raw, name, 0) }
    } catch {
      if error == .noSuchFileOrDirectory { return }
      throw error
    }
    try checked { fsync(descriptor.raw) }
  }

  /// Keeps every other holder of the lock out, in this process and in others, until the result is let go of. Throws
  /// `wouldBlock` if another one holds it for over five seconds: whoever may read a directory may lock it.
  public borrowing func lock() throws(Errno) -> DirectoryLock {
    let again = Descriptor(
      owning: try checked { openat(descriptor.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
    for _ in 0..<Self.lockAttempts {
      if flock(again.raw, LOCK_EX | LOCK_NB) == 0 { return DirectoryLock(descriptor: again) }
      guard errno == EWOULDBLOCK || errno == EINTR else { throw Errno(rawValue: errno) }
      sleep(for: .milliseconds(10))
    }
    throw .wouldBlock
  }
}

/// A lock, which lasts as long as this value.
public struct DirectoryLock: ~Copyable, Sendable {
  private let descriptor: Descriptor

  fileprivate init(descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }
}
