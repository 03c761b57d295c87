import Config
import Identity
import Noise
import Program
import SystemIO
import SystemPackage
import Wire

/// An invite, and what becomes of the configuration file by it: it names the relay from then on, so that the invite is needed
/// once only. Nothing is written before the relay has let this device in: a join that fails leaves no trace.
struct Invitation {
  let token: Token
  /// Whether nothing but the invite says which key the relay has.
  let bringsKey: Bool
  private let path: String
  /// What the file held when it was read; `nil` if there was none.
  private let former: [UInt8]?
  /// What it is to hold; `nil` if it names the relay already.
  private let content: [UInt8]?

  /// What was given beside the invite, and where.
  struct Surroundings {
    /// The configuration file, its content if it is there, and what that says.
    var path: String
    var content: [UInt8]?
    var file: Settings
    /// What holds where the file says nothing.
    var defaults: Settings
    /// The options `--server`, `--server-key` and `--device-id`.
    var servers: [ServerAddress]
    var serverKeys: [[UInt8]]
    var deviceID: String?
    /// The device's state directory, which may be missing yet.
    var state: String

    /// The keys that the file pins, and those that have come in their place.
    var pinned: [[UInt8]] {
      guard !file.serverKeys.isEmpty, (try? FileAttributes(of: state)) != nil else { return file.serverKeys }
      return file.serverKeys
        + file.serverKeys.compactMap { key in
          (try? StateDirectory(state)).flatMap { try? RelaySuccessors(in: $0).newest(of: key) }
        }
    }
  }

  /// Adds what the invite says to `settings`. Throws if it and what is there already are about different relays.
  init(_ invite: InviteText, _ around: Surroundings, _ settings: inout Settings) throws {
    guard let token = Token(invite.token) else { preconditionFailure("an invite's token has the right size") }
    self.token = token
    bringsKey = around.file.serverKeys.isEmpty && around.serverKeys.isEmpty
    path = around.path
    former = around.content
    let servers = try Self.servers(invite)
    try Self.check(invite, servers, around)

    var wanted = around.file
    var additions: [String] = []
    if wanted.servers.isEmpty {
      wanted.servers = around.servers.isEmpty ? servers : around.servers
      additions.append(Self.lines("server", wanted.servers.map(\.description)))
    }
    if wanted.serverKeys.isEmpty {
      wanted.serverKeys = around.serverKeys.isEmpty ? [invite.relayKey] : around.serverKeys
      additions.append(Self.lines("server-key", wanted.serverKeys.map(KeyText.relay.text)))
    }
    // The relay knows the key by this ID from now on, and refuses it under another. A file that is a relay's too does not say it,
    // as that host has another ID in its own network; the state directory remembers it.
    if wanted.deviceID == nil, let id = around.deviceID, around.file.relay == around.defaults.relay {
      wanted.deviceID = id
      additions.append(Self.lines("device-id", [id]))
    }
    if settings.servers.isEmpty { settings.servers = wanted.servers }
    if settings.serverKeys.isEmpty { settings.serverKeys = wanted.serverKeys }
    content = additions.isEmpty ? nil : try Self.add(additions, to: around, expecting: wanted)
  }

  private static func servers(_ invite: InviteText) throws -> [ServerAddress] {
    do {
      return try invite.servers.map { try ServerAddress(parsing: $0) }
    } catch {
      throw Failure(.usage, "the invite names a server that cannot be one: \(error)")
    }
  }

  private static func check(_ invite: InviteText, _ servers: [ServerAddress], _ around: Surroundings) throws {
    let key = fingerprint(invite.relayKey)
    guard around.serverKeys.isEmpty || around.serverKeys.contains(invite.relayKey) else {
      throw Failure(.usage, "the invite is for the relay with the key \(key), --server-key for another; leave it out")
    }
    let file = around.file
    let advice =
      "to leave that network for the invite's, move \(around.path) away and run this again; to be in both, give the second one "
      + "a name of its own (--name)"
    guard file.serverKeys.isEmpty || around.pinned.contains(invite.relayKey) else {
      let pins = file.serverKeys.map(fingerprint).joined(separator: ", ")
      throw Failure(
        .configuration,
        "\(around.path) names another relay (server-key \(pins)) than the invite (\(key)); if that relay has a new key, "
          + "correct server-key there; \(advice)")
    }
    let isSame = !file.serverKeys.isEmpty || file.servers.isEmpty || !Set(file.servers).isDisjoint(with: servers)
    guard isSame else {
      throw Failure(
        .configuration,
        "\(around.path) names another relay (\(file.servers.map(\.description).joined(separator: ", "))) than the invite "
          + "(\(servers.map(\.description).joined(separator: ", "))); \(advice)")
    }
  }

  private static func fingerprint(_ key: [UInt8]) -> String { PublicKey(key)?.fingerprint ?? "" }

  // MARK: The file

  /// A key of the file with one value or several, which are ASCII without quotes.
  private static func lines(_ key: String, _ values: [String]) -> String {
    values.count == 1
      ? "\(key): \"\(values[0])\"\n" : "\(key):\n" + values.map { "  - \"\($0)\"\n" }.joined()
  }

  /// The file's content with lines behind it. They are read again to see whether they say what they should: a file may end
  /// in a way that lets nothing follow.
  private static func add(
    _ lines: [String], to around: Surroundings, expecting wanted: Settings
  ) throws -> [UInt8] {
    var content = around.content ?? []
    if let last = content.last, last != UInt8(ascii: "\n") { content.append(UInt8(ascii: "\n")) }
    content += Array(lines.joined().utf8)
    guard (try? Settings.load(content, file: around.path, over: around.defaults)) == wanted else {
      let shown = lines.map { $0.split(separator: "\n").joined(separator: " ") }.joined(separator: ", ")
      throw Failure(
        .configuration, "nothing can be added at the end of \(around.path) as it is laid out; add by hand: \(shown)")
    }
    return content
  }

  /// The directory of the file, made if it is missing, and the file's name in it; `nil` if nothing is to be written. Throws
  /// if that would fail later. To be called with the rights that `write` will have.
  func place() throws -> InvitationPlace? {
    guard content != nil else { return nil }
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    do {
      _ = try Directory.make(parent, mode: 0o755)
      let directory = try Directory(parent)
      try directory.checkWritable()
      guard try directory.attributes(of: name).map({ $0.kind == .regular }) ?? true else {
        throw Failure(
          .cannotCreate, "\(path) is no regular file, so the relay cannot be added to it; name another --config")
      }
      return InvitationPlace(directory, name)
    } catch let error as Errno {
      throw Failure(
        error == .permissionDenied ? .noPermission : .cannotCreate,
        "cannot write \(path), which is to name the relay: \(error); run as root, or name another file with --config")
    }
  }

  /// Writes the file, whole or not at all.
  func write(to place: InvitationPlace) throws(Failure) {
    guard let content else { return }
    do throws(Errno) {
      let lock = try place.directory.lock()
      if let former {
        let (attributes, now) = try place.directory.read(place.name, limit: Settings.maximumFileSize + 1)
        guard now == former else { throw Errno.fileExists }
        try place.directory.write(place.name, content, over: .replace, mode: attributes.mode, owner: nil)
      } else {
        try place.directory.write(place.name, content, over: .keep, owner: nil)
      }
      _ = consume lock
    } catch {
      let why = error == .fileExists ? "somebody else has written it meanwhile" : "\(error)"
      throw Failure(
        .ioError,
        "the relay has let this device in, but \(path) cannot be written: \(why); see to that and run the same again, which "
          + "the relay will let in")
    }
  }
}

/// Where an invitation's file is.
final class InvitationPlace {
  fileprivate let directory: Directory
  fileprivate let name: String

  fileprivate init(_ directory: consuming Directory, _ name: String) {
    self.directory = directory
    self.name = name
  }
}
