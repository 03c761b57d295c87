internal import SystemPackage
internal import Wire

/// The relays that a device has trusted when it saw them first, by the names that the device's configuration has for them:
/// the file `known-relays`, a line each, `HOST:PORT mnedc-relay:KEY`. For any thread, and for several processes at a time.
public struct KnownRelays: Sendable {
  private let directory: StateDirectory

  public static let fileName = "known-relays"
  private static let limit = 256 << 10

  public init(in directory: StateDirectory) {
    self.directory = directory
  }

  /// Where the file is.
  public var path: String { directory.file(Self.fileName) }

  /// The key, 32 bytes, that the relay of that name had; `nil` if none is known. The file is read each time: a person may
  /// have removed a line.
  public func key(of server: String) throws(StateError) -> [UInt8]? {
    try entries(directory.read(Self.fileName, limit: Self.limit, .trusted)).first { $0.server == server }?.key
  }

  /// Throws unless the file can be used; it may be missing.
  public func check() throws(StateError) {
    _ = try entries(directory.read(Self.fileName, limit: Self.limit, .trusted))
  }

  /// What came of `add`.
  public enum Addition: Equatable, Sendable {
    /// The key is known now, or was before.
    case known
    /// Another key is known under that name, which stays.
    case conflict([UInt8])
  }

  /// Remembers the key of a relay that was seen for the first time.
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

  /// Forgets all of them.
  public func removeAll() throws(StateError) {
    try directory.remove(Self.fileName)
  }

  private struct Entry: Equatable {
    var server: String
    var key: [UInt8]
  }

  private func update(_ body: (inout [Entry]) -> Void) throws(StateError) {
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { content throws(StateError) in
      let former = try entries(content)
      var entries = former
      body(&entries)
      guard entries != former else { return nil }
      return Array(entries.map { "\($0.server) \(KeyText.relay.text($0.key))\n" }.joined().utf8)
    }
  }

  /// Exactly what `update` writes, but that the last line may lack its end.
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

  /// As a setting is shown: visible ASCII, with the port.
  private static func isServer(_ text: ArraySlice<UInt8>) -> Bool {
    (3...300).contains(text.count) && text.allSatisfy { (0x21...0x7E).contains($0) } && text.contains(UInt8(ascii: ":"))
  }

  private func damaged(_ line: Int, _ what: String) -> StateError {
    StateError(.damaged, "\(path):\(line): \(what); correct the line, or remove it to trust that relay anew")
  }
}
