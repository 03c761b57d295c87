internal import CLinux
internal import Glibc
public import SystemPackage

/// A lock that one holder on this machine has at a time (flock on a file of its own), until the holder lets go or ends,
/// however it ends.
///
/// It belongs to the open file and not to the process, so it keeps out a second holder of the same process too. The file
/// stays: whoever removed it could lock another one of the same name.
public struct FileLock: ~Copyable, Sendable {
  private let file: Descriptor

  private init(file: consuming Descriptor) {
    self.file = file
  }

  deinit {
    // Closing is not enough while another thread starts a program, which has all descriptors until it has begun.
    flock(file.raw, LOCK_UN)
  }

  /// Takes the lock without waiting; `nil` if another has it. The file is made if it is missing, with mode 0600, and says
  /// the holder's process number.
  public static func take(_ path: String) throws(Errno) -> FileLock? {
    let file = Descriptor(owning: try checked { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) })
    do {
      try checked { flock(file.raw, LOCK_EX | LOCK_NB) }
    } catch Errno.wouldBlock {
      return nil
    }
    // For people only: the lock holds without it, on a full disk for one.
    let holder = Array("\(getpid())\n".utf8)
    if ftruncate(file.raw, 0) == 0 { _ = holder.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) } }
    return FileLock(file: file)
  }

  /// The process that took the lock last, as far as its file says.
  public static func holder(of path: String) -> Int? {
    guard let content = try? readFile(path, limit: 32) else { return nil }
    return Int(String(decoding: content.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
  }
}
