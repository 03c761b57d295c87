internal import CLinux
internal import Glibc
public import SystemPackage

// Files that nobody but their owner may read, and what makes a change of their names last through a crash.

/// Makes an empty file that only this user may read and write (0600). There must be none of this name yet.
public func makePrivateFile(_ path: String) throws(Errno) {
  _ = Descriptor(owning: try checked { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) })
}

/// Makes a file with that content that only this user may read and write (0600). There must be nothing of this name yet; a file
/// that cannot be written whole is removed.
public func writeNewPrivateFile(_ path: String, _ content: [UInt8]) throws(Errno) {
  let file = Descriptor(
    owning: try checked { open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600) })
  do {
    var rest = content[...]
    while !rest.isEmpty {
      let count = try checked {
        rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, allowed($0.count, by: file.raw)) }
      }
      rest = rest.dropFirst(count)
    }
    try checked { fsync(file.raw) }
  } catch {
    unlink(path)
    throw error
  }
}

/// Takes away what others than its owner may do with a file; false if there is none.
@discardableResult
public func makePrivate(_ path: String) throws(Errno) -> Bool {
  try unlessMissing { chmod(path, 0o600) }
}

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

/// Gives a file of `directory` another name there, in place of a file that has it. It lasts once this returns.
public func rename(_ name: String, to newName: String, in directory: String) throws(Errno) {
  let place = Descriptor(owning: try checked { open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
  try checked { renameat(place.raw, name, place.raw, newName) }
  try checked { fsync(place.raw) }
}

private func unlessMissing(_ call: () -> CInt) throws(Errno) -> Bool {
  do {
    try checked(call)
    return true
  } catch Errno.noSuchFileOrDirectory {
    return false
  }
}
