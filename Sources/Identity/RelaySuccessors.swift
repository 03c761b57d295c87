internal import SystemPackage
internal import Wire

/// What relays have announced under a key that a configuration pins: the file `relay-successors`, a line for each key that was
/// replaced, `mnedc-relay:OLD mnedc-relay:NEW`. For any thread, and for several processes at a time.
public struct RelaySuccessors: Sendable {
  private let directory: StateDirectory

  public static let fileName = "relay-successors"
  private static let limit = 256 << 10
  /// How many replacements in a row are followed.
  private static let maximumChain = 64

  public init(in directory: StateDirectory) {
    self.directory = directory
  }

  /// The key that has come in the place of `key`, which is 32 bytes; `key` itself if none has.
  public func newest(of key: [UInt8]) throws(StateError) -> [UInt8] {
    let entries = try entries(directory.read(Self.fileName, limit: Self.limit, .trusted))
    var newest = key
    for _ in 0..<Self.maximumChain {
      guard let entry = entries.last(where: { $0.old == newest }) else { break }
      newest = entry.new
    }
    return newest
  }

  /// Throws unless the file can be used; it may be missing.
  public func check() throws(StateError) {
    _ = try entries(directory.read(Self.fileName, limit: Self.limit, .trusted))
  }

  /// Remembers that `new` replaces `old`. The caller has proof of it.
  public func add(_ old: [UInt8], _ new: [UInt8]) throws(StateError) {
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { content throws(StateError) in
      // A key that comes back begins a chain anew.
      let kept = try entries(content).filter { $0.old != old && $0.old != new }
      return Self.text(kept + [Entry(old: old, new: new)])
    }
  }

  /// Forgets the successor of `key`. The caller has proof that a relay has `key` again.
  public func forgetSuccessor(of key: [UInt8]) throws(StateError) {
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { content throws(StateError) in
      let former = try entries(content)
      let kept = former.filter { $0.old != key }
      return kept.count == former.count ? nil : Self.text(kept)
    }
  }

  private static func text(_ entries: [Entry]) -> [UInt8] {
    Array(entries.map { "\(KeyText.relay.text($0.old)) \(KeyText.relay.text($0.new))\n" }.joined().utf8)
  }

  private struct Entry {
    var old: [UInt8]
    var new: [UInt8]
  }

  private func entries(_ content: [UInt8]?) throws(StateError) -> [Entry] {
    var entries: [Entry] = []
    for (number, line) in zip(1..., (content ?? []).split(separator: UInt8(ascii: "\n"))) {
      let keys = line.split(separator: UInt8(ascii: " ")).map {
        try? KeyText.relay.parse(String(decoding: $0, as: UTF8.self))
      }
      guard keys.count == 2, let old = keys[0], let new = keys[1] else {
        throw StateError(
          .damaged,
          "\(directory.file(Self.fileName)):\(number): expected two relay keys; restore the file from a backup, or "
            + "remove the line and write the relay's present key (mnedc-ctl key there) to server-key")
      }
      entries.append(Entry(old: old, new: new))
    }
    return entries
  }
}
