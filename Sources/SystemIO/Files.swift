internal import CLinux
internal import Glibc
public import SystemPackage

/// Reads a file, but no more than `limit` bytes of it.
public func readFile(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
  try Descriptor(owning: try checked { open(path, O_RDONLY | O_CLOEXEC) }).readToEnd(limit: limit)
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
