internal import Glibc

/// A directory that is there as long as its owner.
public struct TemporaryDirectory: ~Copyable, Sendable {
  public let path: String

  public init() {
    var template = Array(("/tmp/mnedc-test-" + String(repeating: "X", count: 6)).utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary directory can be made")
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    // Files of one level, as tests make them.
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { remove(file(name)) }
      }
      closedir(directory)
    }
    rmdir(path)
  }

  /// The path of `name` in it.
  public func file(_ name: String) -> String { "\(path)/\(name)" }
}
