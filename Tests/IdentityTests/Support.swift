import Glibc
import Identity
import TestSupport
import Testing

/// Keys that are told apart.
func key(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 32) }

func put(_ content: String, at path: String, mode: mode_t = 0o600) {
  unlink(path)
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  precondition(file >= 0 && write(file, content, content.utf8.count) == content.utf8.count, "cannot write \(path)")
  close(file)
  chmod(path, mode)
}

func content(of path: String) -> String? {
  let file = open(path, O_RDONLY)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  bytes.removeLast(bytes.count - max(0, read(file, &bytes, bytes.count)))
  return String(decoding: bytes, as: UTF8.self)
}

func mode(_ path: String) -> mode_t? {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
}

/// What is said of something that must fail.
func refusal<Result>(_ body: () throws(StateError) -> Result) -> StateError? {
  #expect(throws: StateError.self) { _ = try body() }
}
