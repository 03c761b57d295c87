internal import CLinux
internal import Glibc
public import SystemPackage

/// A small text file that other programs read and change, too, such as /etc/hosts.
public struct SharedFile: Sendable {
  public let path: String
  /// A larger one is not touched.
  public let limit: Int

  public init(_ path: String, limit: Int) {
    self.path = path
    self.limit = limit
  }

  /// Puts what `change` makes of the content in its place: readers see the old or the new one, by a rename, unless the file
  /// cannot be renamed over since it is mounted there; then it is overwritten. Owner, group and mode stay. Nothing is written if
  /// nothing changes.
  ///
  /// Throws `tooManySymbolicLinkLevels` for a symbolic link, `invalidArgument` for what is no regular file, `fileTooLarge` for
  /// more than the limit before or after the change, and `resourceTemporarilyUnavailable` if another program of this suite is
  /// about to change it.
  public func change(_ change: ([UInt8]) -> [UInt8]) throws(Errno) {
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    // One after the other: it is the directory that is locked, since the file itself is replaced.
    let lock = Descriptor(owning: try checked { open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
    try checked { flock(lock.raw, LOCK_EX | LOCK_NB) }
    let file = Descriptor(
      owning: try checked { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY) })
    var status = stat()
    try checked { fstat(file.raw, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
    guard status.st_size <= limit else { throw .fileTooLarge }
    let old = try file.readToEnd(limit: limit + 1)
    guard old.count <= limit else { throw .fileTooLarge }
    let new = change(old)
    guard new != old else { return }
    guard new.count <= limit else { throw .fileTooLarge }
    do throws(Errno) {
      try replace(new, status)
    } catch {
      guard [EBUSY, EXDEV, EACCES, EPERM, EROFS].contains(error.rawValue) else { throw error }
      // Mounted by itself, as in a container, or in a directory that is not ours to write.
      try overwrite(new)
    }
  }

  private func replace(_ content: [UInt8], _ status: stat) throws(Errno) {
    let draft = path + ".mnedc-draft"
    unlink(draft)
    let file = Descriptor(
      owning: try checked { open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) })
    do throws(Errno) {
      try Self.write(content, to: file)
      if fchown(file.raw, status.st_uid, status.st_gid) < 0, status.st_uid != geteuid() { throw Errno(rawValue: errno) }
      try checked { fchmod(file.raw, status.st_mode & 0o7777) }
      try checked { fsync(file.raw) }
      try checked { Glibc.rename(draft, path) }
    } catch {
      unlink(draft)
      throw error
    }
  }

  private func overwrite(_ content: [UInt8]) throws(Errno) {
    let file = Descriptor(owning: try checked { open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) })
    try Self.write(content, to: file)
    try checked { ftruncate(file.raw, off_t(content.count)) }
  }

  private static func write(_ content: [UInt8], to file: borrowing Descriptor) throws(Errno) {
    var written = 0
    while written < content.count {
      let count = try nonBlocking(file.raw) {
        content.withUnsafeBytes {
          Glibc.write(file.raw, $0.baseAddress! + written, allowed($0.count - written, by: file.raw))
        }
      }
      written += count ?? 0
    }
  }
}
