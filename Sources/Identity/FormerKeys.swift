internal import SystemPackage
internal import Wire

/// The private keys that a relay had before its present one, oldest first: the file `relay.keys.former`, a line each. Devices
/// that have not heard of the new key yet are met with these. For any thread.
public struct FormerKeys: Sendable {
  private let directory: StateDirectory

  private static let fileName = "relay.keys.former"
  private static let limit = 64 << 10
  /// Older ones are forgotten.
  private static let maximum = 16

  public init(in directory: StateDirectory) {
    self.directory = directory
  }

  /// Each is 32 bytes.
  public func load() throws(StateError) -> [[UInt8]] {
    try keys(directory.read(Self.fileName, limit: Self.limit, .secret))
  }

  /// Remembers a key that is about to be replaced.
  public func add(_ key: [UInt8]) throws(StateError) {
    try directory.update(Self.fileName, limit: Self.limit, .secret) { content throws(StateError) in
      let kept = try keys(content).filter { $0 != key }
      return Array((kept + [key]).suffix(Self.maximum).map { "\(KeyText.privateKey.text($0))\n" }.joined().utf8)
    }
  }

  /// Forgets them all.
  public func removeAll() throws(StateError) {
    try directory.remove(Self.fileName)
  }

  private func keys(_ content: [UInt8]?) throws(StateError) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    for (number, line) in zip(1..., (content ?? []).split(separator: UInt8(ascii: "\n"))) {
      guard let key = try? KeyText.privateKey.parse(String(decoding: line, as: UTF8.self)) else {
        throw StateError(
          .damaged,
          "\(directory.file(Self.fileName)):\(number): expected a private key; remove the line, and tell the devices that "
            + "have not heard of the relay's new key what it is")
      }
      keys.append(key)
    }
    return keys
  }
}
