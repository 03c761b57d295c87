internal import CLinux
internal import Glibc
public import SystemPackage

/// A small text file that other programs read and change, too, such as /etc/hosts.
public struct SharedFile: Sendable {
  public let path: String
  /// In bytes; a larger file is not changed.
  public let limit: Int

  public init(_ path: String, limit: Int) {
    self.path = path
    self.limit = limit
  }

  /// Replaces the content by what `change` makes of it. Readers see the old or the new file, by a rename; a file that
  /// is a mount point, which cannot be replaced, is overwritten. Owner, group and mode stay. False: nothing changes,
  /// and nothing was written. `change` may be called up to three times.
  ///
  /// Throws `tooManySymbolicLinkLevels` for a symbolic link, `invalidArgument` for what is no regular file,
  /// `fileTooLarge` for more than the limit before or after the change, and `resourceTemporarilyUnavailable` while
  /// another program of this suite changes the file.
  @discardableResult
  public func change(_ change: ([UInt8]) -> [UInt8]) throws(Errno) -> Bool {
    guard try changed(change) != nil else { return false }
    do throws(Errno) {
      // The new file is the lock, too: only one program can make it.
      let draft = try makeDraft()
      var hasMoved = false
      defer { if !hasMoved { unlink(draftPath) } }
      guard let (new, status) = try changed(change) else { return false }
      do throws(Errno) {
        try replace(by: draft, new, status)
        hasMoved = true
      } catch {
        guard [EBUSY, EXDEV, EPERM].contains(error.rawValue) else { throw error }
        // A mount point, as in a container.
        try overwrite(new)
      }
    } catch {
      guard [EACCES, EPERM, EROFS].contains(error.rawValue) else { throw error }
      // This process may not write to the directory, but perhaps to the file.
      guard let (new, _) = try changed(change) else { return false }
      try overwrite(new)
    }
    return true
  }

  /// The new content, and the file's attributes; `nil` if nothing changes.
  private func changed(
    _ change: ([UInt8]) -> [UInt8]
  ) throws(Errno) -> (content: [UInt8], attributes: FileAttributes)? {
    let file = try Descriptor { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY) }
    let attributes = FileAttributes(try file.status())
    guard attributes.kind == .regular else { throw .invalidArgument }
    let old = try file.readToEnd(limit: limit + 1)
    guard old.count <= limit else { throw .fileTooLarge }
    let new = change(old)
    guard new != old else { return nil }
    guard new.count <= limit else { throw .fileTooLarge }
    return (new, attributes)
  }

  private var draftPath: String { path + ".mnedc-draft" }

  /// A draft that is older than this, in seconds, was left by a killed program.
  private static let draftAge = 10

  private func makeDraft() throws(Errno) -> Descriptor {
    func make() throws(Errno) -> Descriptor {
      try Descriptor { open(draftPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
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

  private func replace(
    by draft: borrowing Descriptor, _ content: [UInt8], _ former: FileAttributes
  ) throws(Errno) {
    try draft.writeAll(content)
    if fchown(draft.raw, former.user, former.group) < 0, former.user != geteuid() { throw Errno(rawValue: errno) }
    try checked { fchmod(draft.raw, former.mode) }
    try checked { fsync(draft.raw) }
    try checked { Glibc.rename(draftPath, path) }
  }

  private func overwrite(_ content: [UInt8]) throws(Errno) {
    let file = try Descriptor { open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) }
    try file.writeAll(content)
    try checked { ftruncate(file.raw, off_t(content.count)) }
  }
}
