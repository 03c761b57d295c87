internal import SystemPackage
internal import Wire

/// A private key in a state directory: one line, `mnedc-private-key:` and the key. During a rotation, a second file has
/// the next key. For any thread, and for several processes at a time.
public struct KeyFile: Sendable {
  private let file: StateFile
  private let next: StateFile
  /// What follows if the key is lost.
  private let loss: String

  private init(_ name: String, nextSuffix: String = ".next", in directory: StateDirectory, loss: String) {
    file = StateFile(directory: directory, name: name, limit: 4096, secrecy: .secret)
    next = StateFile(directory: directory, name: name + nextSuffix, limit: 4096, secrecy: .secret)
    self.loss = loss
  }

  public static func device(in directory: StateDirectory) -> KeyFile {
    device(nextSuffix: ".next", in: directory)
  }

  /// A device's, whose next key is that of a reset.
  public static func deviceReset(in directory: StateDirectory) -> KeyFile {
    device(nextSuffix: ".reset", in: directory)
  }

  private static func device(nextSuffix: String, in directory: StateDirectory) -> KeyFile {
    KeyFile(
      "device.key", nextSuffix: nextSuffix, in: directory, loss: "the relay has to admit this device anew then")
  }

  public static func relay(in directory: StateDirectory) -> KeyFile {
    KeyFile("relay.key", in: directory, loss: "every device has to be told the relay's new key then")
  }

  public var path: String { file.path }

  /// The key's 32 bytes; `nil` if there is none yet.
  public func load() throws(StateError) -> [UInt8]? {
    try load(file)
  }

  /// The key's 32 bytes, which `make` gives if there is none yet. Processes that start at once get the same.
  public func loadOrCreate(_ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    try loadOrCreate(file, make)
  }

  // MARK: Rotation: the next key is made, announced, and promoted. After a crash in between it still exists.

  /// The next key; `nil` outside a rotation.
  public func loadNext() throws(StateError) -> [UInt8]? {
    try load(next)
  }

  /// The next key, which `make` gives unless a rotation has begun already.
  public func loadOrCreateNext(_ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    try loadOrCreate(next, make)
  }

  /// Replaces the key by the next one.
  public func promoteNext() throws(StateError) {
    guard try loadNext() != nil else {
      throw StateError(.system(.noSuchFileOrDirectory), "\(next.path) is missing; begin the rotation anew")
    }
    try file.directory.move(next.name, to: file.name)
  }

  /// Gives a rotation up: the next key is lost.
  public func removeNext() throws(StateError) {
    try next.remove()
  }

  private func load(_ file: StateFile) throws(StateError) -> [UInt8]? {
    guard let content = try file.read() else { return nil }
    // Bytes that are no UTF-8 become characters that no key has.
    guard content.last == UInt8(ascii: "\n"),
      let key = try? KeyText.privateKey.parse(String(decoding: content.dropLast(), as: UTF8.self))
    else {
      throw StateError(
        .damaged,
        "\(file.path) holds no private key (one line that begins with \(KeyText.privateKey.prefix)); restore it "
          + "from a backup, or remove it to get a new one: \(loss)")
    }
    return key
  }

  private func loadOrCreate(_ file: StateFile, _ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    if let key = try load(file) { return key }
    let key = make()
    if try file.directory.create(file.name, Array("\(KeyText.privateKey.text(key))\n".utf8)) { return key }
    guard let other = try load(file) else {
      throw StateError(.system(.noSuchFileOrDirectory), "\(file.path) was removed as it came to be; try again")
    }
    return other
  }
}

/// The relay's private keys before its present one, oldest first: the file `relay.keys.former`, a line each. The relay
/// accepts devices by these that do not know its new key yet. For any thread.
public struct FormerKeys: Sendable {
  private let file: StateFile

  /// Older keys are removed.
  private static let maximum = 16

  public init(in directory: StateDirectory) {
    file = StateFile(directory: directory, name: "relay.keys.former", limit: 64 << 10, secrecy: .secret)
  }

  /// Each is 32 bytes.
  public func load() throws(StateError) -> [[UInt8]] {
    try keys(file.read())
  }

  /// Adds a key that is about to be replaced.
  public func add(_ key: [UInt8]) throws(StateError) {
    try file.update { content throws(StateError) in
      let kept = try keys(content).filter { $0 != key }
      return Array((kept + [key]).suffix(Self.maximum).map { "\(KeyText.privateKey.text($0))\n" }.joined().utf8)
    }
  }

  public func removeAll() throws(StateError) {
    try file.remove()
  }

  private func keys(_ content: [UInt8]?) throws(StateError) -> [[UInt8]] {
    let damaged =
      "expected a private key; remove the line, and tell the devices that have not heard of the relay's new key what "
      + "it is"
    return try file.lines(of: content, damaged: damaged) {
      try? KeyText.privateKey.parse(String(decoding: $0, as: UTF8.self))
    }
  }
}
