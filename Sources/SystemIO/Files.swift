internal import CLinux
internal import Glibc
public import SystemPackage

/// Reads a file, but no more than `limit` bytes of it.
public func readFile(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
  try Descriptor(owning: try checked { open(path, O_RDONLY | O_CLOEXEC) }).readToEnd(limit: limit)
}

/// As `readFile`, but never waits: what is no regular file, such as a FIFO that nobody writes to, is `Errno.invalidArgument`;
/// a directory is `Errno.isDirectory`.
public func readRegularFile(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
  let file = Descriptor(owning: try checked { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) })
  var status = stat()
  try checked { fstat(file.raw, &status) }
  guard status.st_mode & S_IFMT != S_IFDIR else { throw .isDirectory }
  guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
  return try file.readToEnd(limit: limit)
}

/// Whether two paths lead to the same file; false if one of them does not exist.
public func isSameFile(_ path: String, _ other: String) -> Bool {
  var (status, otherStatus) = (stat(), stat())
  guard stat(path, &status) == 0, stat(other, &otherStatus) == 0 else { return false }
  return status.st_dev == otherStatus.st_dev && status.st_ino == otherStatus.st_ino
}

/// `path` seen from the present working directory, good wherever this process goes later.
public func absolutePath(_ path: String) throws(Errno) -> String {
  guard path.utf8.first != UInt8(ascii: "/") else { return path }
  var directory = [CChar](repeating: 0, count: Int(PATH_MAX))
  guard getcwd(&directory, directory.count) != nil else { throw Errno(rawValue: errno) }
  return "\(String(decoding: directory.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))/\(path)"
}

/// `path` without symbolic links.
public func realPath(_ path: String) throws(Errno) -> String {
  guard let found = realpath(path, nil) else { throw Errno(rawValue: errno) }
  defer { free(found) }
  return String(cString: found)
}

extension Descriptor {
  /// Reads until the end of a file, but no more than `limit` bytes.
  borrowing func readToEnd(limit: Int) throws(Errno) -> [UInt8] {
    var content: [UInt8] = []
    let buffer = RawBuffer(count: 16 << 10)
    while content.count < limit {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<min(buffer.count, limit - content.count)])
      // A FIFO or a terminal is read until its end like any file.
      guard let count = try read(into: room), count > 0 else { break }
      content.append(contentsOf: room[..<count])
    }
    return content
  }
}
