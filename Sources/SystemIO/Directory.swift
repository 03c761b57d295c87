internal import CLinux
internal import Glibc
public import SystemPackage

/// An open directory. Its files are reached through it, even after its path changes; names are those of files in it,
/// without a slash. For any thread.
public struct Directory: ~Copyable, Sendable {
  private let descriptor: Descriptor

  private static let draftSuffix = ".new"

  /// Opens the directory at `path`, which is no symbolic link.
  public init(_ path: String) throws(Errno) {
    try self.init(path, followingLinks: false)
  }

  init(_ path: String, followingLinks: Bool) throws(Errno) {
    descriptor = try Descriptor {
      open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followingLinks ? 0 : O_NOFOLLOW))
    }
  }

  /// Makes a directory of that mode, whatever the umask. False: the name is taken.
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
    FileAttributes(try descriptor.status())
  }

  /// Throws unless this user, with the rights that this process has now, can make files in it.
  public borrowing func checkWritable() throws(Errno) {
    try checked { faccessat(descriptor.raw, ".", W_OK | X_OK, AT_EACCESS) }
  }

  /// Gives every file in it, symbolic links themselves, to a user; then itself.
  public borrowing func handOver(user: UInt32, group: UInt32) throws(Errno) {
    for name in try names() {
      try checked { fchownat(descriptor.raw, name, user, group, AT_SYMLINK_NOFOLLOW) }
    }
    try checked { fchown(descriptor.raw, user, group) }
  }

  /// Lets `user` make and remove its own files in this user's directory, by the user's group and mode 01775.
  borrowing func share(with user: User) throws(Errno) {
    let owner = try attributes().user
    guard owner == currentUser() else { return }
    try checked { fchown(descriptor.raw, owner, user.group) }
    try checked { fchmod(descriptor.raw, 0o1775) }
  }

  /// Opens the directory once more.
  private borrowing func reopened() throws(Errno) -> CInt {
    try checked { openat(descriptor.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
  }

  /// The names of its files.
  public borrowing func names() throws(Errno) -> [String] {
    // closedir closes the descriptor.
    let again = try reopened()
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

  /// Of a file, or of a symbolic link itself; `nil` if there is none.
  public borrowing func attributes(of name: String) throws(Errno) -> FileAttributes? {
    var status = stat()
    let isThere = try unlessMissing { fstatat(descriptor.raw, name, &status, AT_SYMLINK_NOFOLLOW) }
    return isThere ? FileAttributes(status) : nil
  }

  /// Opens a file, which is no symbolic link, without waiting; returns what was opened, and at most `limit` bytes of a
  /// regular file.
  public borrowing func read(_ name: String, limit: Int) throws(Errno) -> (attributes: FileAttributes, content: [UInt8])
  {
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
    let file = try Descriptor { openat(descriptor.raw, name, flags) }
    let attributes = FileAttributes(try file.status())
    return (attributes, attributes.kind == .regular ? try file.readToEnd(limit: limit) : [])
  }

  // MARK: Changes, to be made with the lock

  /// What `write` does if the file exists.
  public enum Existing: Sendable {
    case replace
    /// Throws `Errno.fileExists`, even if another program makes the file at this very moment.
    case keep
  }

  /// Makes a file with that content. After a crash the file is there whole, or not at all. Only root can give an
  /// `owner`.
  public borrowing func write(
    _ name: String, _ content: [UInt8], over existing: Existing, mode: UInt32 = 0o600, owner: User?
  ) throws(Errno) {
    try write(name, over: existing, mode: mode, owner: owner.map { ($0.id, $0.group) }) { file throws(Errno) in
      try file.writeAll(content)
    }
  }

  /// Writes a file anew that has these attributes: the new file gets the same owner, group and mode. If this process
  /// may not give files away, it writes into the old file, which a crash may leave incomplete.
  public borrowing func rewrite(_ name: String, _ content: [UInt8], like former: FileAttributes) throws(Errno) {
    do {
      try write(name, over: .replace, mode: former.mode, owner: (former.user, former.group)) { file throws(Errno) in
        try file.writeAll(content)
      }
    } catch {
      guard error == .notPermitted || error == .invalidArgument else { throw error }
      let file = try Descriptor { openat(descriptor.raw, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) }
      try file.writeAll(content)
      try checked { ftruncate(file.raw, off_t(content.count)) }
      try checked { fsync(file.raw) }
    }
  }

  /// Makes a file that `fill` writes: a draft first, which takes the name when it is on the disk.
  borrowing func write(
    _ name: String, over existing: Existing, mode: UInt32 = 0o600, owner: (user: UInt32, group: UInt32)? = nil,
    _ fill: (borrowing Descriptor) throws(Errno) -> Void
  ) throws(Errno) {
    let draft = ".\(name)\(Self.draftSuffix)"
    // A killed process may have left one.
    _ = unlinkat(descriptor.raw, draft, 0)
    do {
      let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
      let file = try Descriptor { openat(descriptor.raw, draft, flags, 0o600) }
      try checked { fchmod(file.raw, mode) }
      if let owner { try checked { fchown(file.raw, owner.user, owner.group) } }
      try fill(file)
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

  /// Removes the drafts of `write` that killed processes have left.
  public borrowing func removeDrafts() throws(Errno) {
    for name in try names() where name.hasPrefix(".") && name.hasSuffix(Self.draftSuffix) { try remove(name) }
  }

  /// Renames a file over any other. The change is on the disk when this returns.
  public borrowing func move(_ name: String, to other: String) throws(Errno) {
    try checked { renameat(descriptor.raw, name, descriptor.raw, other) }
    try checked { fsync(descriptor.raw) }
  }

  /// Removes a file if it exists.
  public borrowing func remove(_ name: String) throws(Errno) {
    guard try unlessMissing({ unlinkat(descriptor.raw, name, 0) }) else { return }
    try checked { fsync(descriptor.raw) }
  }

  /// Keeps every other holder of the lock out, in this process and in others, until the result is let go of. Throws
  /// `wouldBlock` if another one holds it for over five seconds: anybody who can read a directory can lock it.
  public borrowing func lock() throws(Errno) -> DirectoryLock {
    let again = Descriptor(owning: try reopened())
    guard try again.lock(within: .seconds(5)) else { throw .wouldBlock }
    return DirectoryLock(descriptor: again)
  }
}

/// A lock, which lasts as long as this value.
public struct DirectoryLock: ~Copyable, Sendable {
  fileprivate let descriptor: Descriptor
}
