internal import SystemPackage
internal import Wire

/// A private key in a state directory: one line, `mnedc-private-key:` and the key, and beside it, while a new key takes the
/// place of the old one, the new one. For any thread, and for several processes at a time.
public struct KeyFile: Sendable {
  private let directory: StateDirectory
  private let name: String
  /// The suffix of the file with the next key.
  private var nextSuffix = ".next"
  /// What follows if it is lost.
  private let loss: String

  private var nextName: String { name + nextSuffix }

  /// A device's.
  public static func device(in directory: StateDirectory) -> KeyFile {
    KeyFile(directory: directory, name: "device.key", loss: "the relay has to admit this device anew then")
  }

  /// A device's, whose next key is that of a reset.
  public static func deviceReset(in directory: StateDirectory) -> KeyFile {
    var file = device(in: directory)
    file.nextSuffix = ".reset"
    return file
  }

  /// A relay's.
  public static func relay(in directory: StateDirectory) -> KeyFile {
    KeyFile(directory: directory, name: "relay.key", loss: "every device has to be told the relay's new key then")
  }

  /// Where it is.
  public var path: String { directory.file(name) }

  /// The key's 32 bytes; `nil` if there is none yet.
  public func load() throws(StateError) -> [UInt8]? {
    try load(name)
  }

  /// The key's 32 bytes, which `make` gives if there is none yet. Processes that start at once get the same.
  public func loadOrCreate(_ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    try loadOrCreate(name, make)
  }

  // MARK: Rotation: the next key is made, told to whom it concerns, and promoted. After a crash in between it is still there.

  /// The key that is to take the place of this one; `nil` if none is.
  public func loadNext() throws(StateError) -> [UInt8]? {
    try load(nextName)
  }

  /// The key that is to take the place of this one, which `make` gives unless a rotation is under way already.
  public func loadOrCreateNext(_ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    try loadOrCreate(nextName, make)
  }

  /// Puts the next key in the place of this one, which is lost.
  public func promoteNext() throws(StateError) {
    guard try loadNext() != nil else {
      throw StateError(
        .system(.noSuchFileOrDirectory), "\(directory.file(nextName)) is missing; begin the rotation anew")
    }
    try directory.move(nextName, to: name)
  }

  /// Gives a rotation up: the next key is lost.
  public func removeNext() throws(StateError) {
    try directory.remove(nextName)
  }

  // MARK: Files

  private func load(_ name: String) throws(StateError) -> [UInt8]? {
    guard let content = try directory.read(name, limit: Self.limit, .secret) else { return nil }
    do throws(KeyTextError) {
      guard content.last == UInt8(ascii: "\n") else { throw .wrongLength(0) }
      // Bytes that are no UTF-8 become characters that no key has.
      return try KeyText.privateKey.parse(String(decoding: content.dropLast(), as: UTF8.self))
    } catch {
      throw StateError(
        .damaged,
        "\(directory.file(name)) holds no private key (one line that begins with \(KeyText.privateKey.prefix)); restore it "
          + "from a backup, or remove it to get a new one: \(loss)")
    }
  }

  private func loadOrCreate(_ name: String, _ make: () -> [UInt8]) throws(StateError) -> [UInt8] {
    if let key = try load(name) { return key }
    let key = make()
    if try directory.create(name, Array("\(KeyText.privateKey.text(key))\n".utf8)) { return key }
    guard let other = try load(name) else {
      throw StateError(
        .system(.noSuchFileOrDirectory), "\(directory.file(name)) was removed as it came to be; try again")
    }
    return other
  }

  /// More than such a line is long.
  private static let limit = 4096
}
