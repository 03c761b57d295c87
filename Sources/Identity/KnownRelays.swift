internal import SystemPackage
internal import Wire

/// The relays that a device trusted at first contact, by their names in the device's configuration: the file
/// `known-relays`, a line each, `HOST:PORT mnedc-relay:KEY`. For any thread, and for several processes at a time.
public struct KnownRelays: Sendable {
  private let file: StateFile

  public static let fileName = "known-relays"

  public init(in directory: StateDirectory) {
    file = StateFile(directory: directory, name: Self.fileName, limit: 256 << 10)
  }

  public var path: String { file.path }

  /// The relay's key, 32 bytes; `nil` if none is known. Reads the file each time, because a person may have removed a
  /// line.
  public func key(of server: String) throws(StateError) -> [UInt8]? {
    try entries(file.read()).first { $0.server == server }?.key
  }

  /// Throws unless the file can be used; it may be missing.
  public func check() throws(StateError) {
    _ = try entries(file.read())
  }

  /// The result of `add`.
  public enum Addition: Equatable, Sendable {
    /// The key is known now, or was before.
    case known
    /// Another key is known under that name, and stays.
    case conflict([UInt8])
  }

  /// Adds the key of a relay at first contact.
  public func add(_ server: String, _ key: [UInt8]) throws(StateError) -> Addition {
    precondition(Self.isServer(Array(server.utf8)[...]), "a server has a port")
    var result = Addition.known
    try update { entries in
      guard let other = entries.first(where: { $0.server == server }) else {
        entries.append(Entry(server: server, key: key))
        return
      }
      if other.key != key { result = .conflict(other.key) }
    }
    return result
  }

  /// Replaces a relay's `old` key by its new one, under every name of the relay. The caller has proof of the new one.
  public func replace(_ server: String, _ old: [UInt8], with key: [UInt8]) throws(StateError) {
    precondition(Self.isServer(Array(server.utf8)[...]), "a server has a port")
    try update { entries in
      entries.removeAll { $0.server == server }
      entries.append(Entry(server: server, key: key))
      for index in entries.indices where entries[index].key == old { entries[index].key = key }
    }
  }

  public func removeAll() throws(StateError) {
    try file.remove()
  }

  private struct Entry: Equatable {
    var server: String
    var key: [UInt8]
  }

  private func update(_ body: (inout [Entry]) -> Void) throws(StateError) {
    try file.update { content throws(StateError) in
      let former = try entries(content)
      var entries = former
      body(&entries)
      guard entries != former else { return nil }
      return Array(entries.map { "\($0.server) \(KeyText.relay.text($0.key))\n" }.joined().utf8)
    }
  }

  /// Accepts exactly what `update` writes, and a last line without its end.
  private func entries(_ content: [UInt8]?) throws(StateError) -> [Entry] {
    guard let content, !content.isEmpty else { return [] }
    var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    var entries: [Entry] = []
    for (number, line) in zip(1..., lines) {
      let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      guard parts.count == 2, Self.isServer(parts[0]) else {
        throw damaged(number, "expected HOST:PORT, a space and the relay's key")
      }
      let server = String(decoding: parts[0], as: UTF8.self)
      if entries.contains(where: { $0.server == server }) { throw damaged(number, "\(server) is listed twice") }
      do throws(KeyTextError) {
        entries.append(Entry(server: server, key: try KeyText.relay.parse(String(decoding: parts[1], as: UTF8.self))))
      } catch {
        throw damaged(number, "what stands behind \(server) \(error)")
      }
    }
    return entries
  }

  /// Visible ASCII, with a port.
  private static func isServer(_ text: ArraySlice<UInt8>) -> Bool {
    (3...300).contains(text.count) && text.allSatisfy { (0x21...0x7E).contains($0) } && text.contains(UInt8(ascii: ":"))
  }

  private func damaged(_ line: Int, _ what: String) -> StateError {
    StateError(.damaged, "\(path):\(line): \(what); correct the line, or remove it to trust that relay anew")
  }
}

/// The new keys that relays have announced for keys that a configuration pins: the file `relay-successors`, a line for
/// each replaced key, `mnedc-relay:OLD mnedc-relay:NEW`. For any thread, and for several processes at a time.
public struct RelaySuccessors: Sendable {
  private let file: StateFile

  public static let fileName = "relay-successors"
  /// How many replacements in a row are followed.
  private static let maximumChain = 64

  public init(in directory: StateDirectory) {
    file = StateFile(directory: directory, name: Self.fileName, limit: 256 << 10)
  }

  /// Throws unless the file can be used; it may be missing.
  public func check() throws(StateError) {
    _ = try entries(file.read())
  }

  /// The key that has replaced `key`, which is 32 bytes; `key` itself if none has.
  public func newest(of key: [UInt8]) throws(StateError) -> [UInt8] {
    let entries = try entries(file.read())
    var newest = key
    for _ in 0..<Self.maximumChain {
      guard let entry = entries.last(where: { $0.old == newest }) else { break }
      newest = entry.new
    }
    return newest
  }

  /// Adds that `new` replaces `old`. The caller has proof of it.
  public func add(_ old: [UInt8], _ new: [UInt8]) throws(StateError) {
    try update { entries in
      // A key that comes back begins a new chain.
      entries.removeAll { $0.old == old || $0.old == new }
      entries.append((old, new))
    }
  }

  /// Removes the successor of `key`. The caller has proof that a relay has `key` again.
  public func forgetSuccessor(of key: [UInt8]) throws(StateError) {
    try update { entries in entries.removeAll { $0.old == key } }
  }

  private func update(_ body: (inout [(old: [UInt8], new: [UInt8])]) -> Void) throws(StateError) {
    try file.update { content throws(StateError) in
      let former = try entries(content)
      var entries = former
      body(&entries)
      guard !entries.elementsEqual(former, by: ==) else { return nil }
      return Array(entries.map { "\(KeyText.relay.text($0.old)) \(KeyText.relay.text($0.new))\n" }.joined().utf8)
    }
  }

  private func entries(_ content: [UInt8]?) throws(StateError) -> [(old: [UInt8], new: [UInt8])] {
    let damaged =
      "expected two relay keys; restore the file from a backup, or remove the line and write the relay's present key "
      + "(mnedc-ctl key there) to server-key"
    return try file.lines(of: content, damaged: damaged) { line in
      let keys = line.split(separator: UInt8(ascii: " ")).map {
        try? KeyText.relay.parse(String(decoding: $0, as: UTF8.self))
      }
      guard keys.count == 2, let old = keys[0], let new = keys[1] else { return nil }
      return (old, new)
    }
  }
}
