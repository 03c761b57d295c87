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
  /// nothing changes: the result says whether something has. `change` may be called up to three times.
  ///
  /// Throws `tooManySymbolicLinkLevels` for a symbolic link, `invalidArgument` for what is no regular file, `fileTooLarge` for
  /// more than the limit before or after the change, and `resourceTemporarilyUnavailable` if another program of this suite is
  /// about to change it.
  @discardableResult
  public func change(_ change: ([UInt8]) -> [UInt8]) throws(Errno) -> Bool {
    guard try changed(change) != nil else { return false }
    // Where the directory may be written to, the new file is the lock, too: whoever makes it first is first.
    do throws(Errno) {
      let draft = try makeDraft()
      var hasMoved = false
      defer { if !hasMoved { unlink(draftPath) } }
      guard let (new, status) = try changed(change) else { return false }
      do throws(Errno) {
        try replace(by: draft, new, status)
        hasMoved = true
      } catch {
        guard [EBUSY, EXDEV, EPERM].contains(error.rawValue) else { throw error }
        // Mounted by itself, as in a container.
        try overwrite(new)
      }
    } catch {
      guard [EACCES, EPERM, EROFS].contains(error.rawValue) else { throw error }
      // The directory is not ours to write, but the file may be.
      guard let (new, _) = try changed(change) else { return false }
      try overwrite(new)
    }
    return true
  }

  /// What is to be in the file, and what kind of file it is; `nil` if nothing changes.
  private func changed(_ change: ([UInt8]) -> [UInt8]) throws(Errno) -> (content: [UInt8], status: stat)? {
    let file = Descriptor(
      owning: try checked { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY) })
    var status = stat()
    try checked { fstat(file.raw, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
    guard status.st_size <= limit else { throw .fileTooLarge }
    let old = try file.readToEnd(limit: limit + 1)
    guard old.count <= limit else { throw .fileTooLarge }
    let new = change(old)
    guard new != old else { return nil }
    guard new.count <= limit else { throw .fileTooLarge }
    return (new, status)
  }

  private var draftPath: String { path + ".mnedc-draft" }

  /// A draft that is older than this, in seconds, was left by a program that has ended too soon.
  private static let draftAge = 10

  private func makeDraft() throws(Errno) -> Descriptor {
    func make() throws(Errno) -> Descriptor {
      Descriptor(
        owning: try checked { open(draftPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) })
    }
    do throws(Errno) {
      return try make()
    } catch {
      guard error == .fileExists else { throw error }
    }
    var status = stat()
    if lstat(draftPath, &status) == 0, abs(Int(UnixTime.now()) - status.st_mtim.tv_sec) < Self.draftAge {
      throw .resourceTemporarilyUnavailable
    }
    unlink(draftPath)
    return try make()
  }

  private func replace(by draft: borrowing Descriptor, _ content: [UInt8], _ status: stat) throws(Errno) {
    try Self.write(content, to: draft)
    if fchown(draft.raw, status.st_uid, status.st_gid) < 0, status.st_uid != geteuid() { throw Errno(rawValue: errno) }
    try checked { fchmod(draft.raw, status.st_mode & 0o7777) }
    try checked { fsync(draft.raw) }
    try checked { Glibc.rename(draftPath, path) }
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
