import CommandLine
import Config
import SystemIO
import SystemPackage
import Wire

/// What to write to the configuration file once a relay has admitted this device: the relay with its key, and the
/// device ID by which it knows this device's key. The next start then needs neither invite nor options. A join that
/// fails writes nothing.
struct FileUpdate {
  let path: String
  /// Whether the join fails if the file cannot be written: an invite works once only.
  let isRequired: Bool
  private let given: JoinOptions
  /// What the file is to say.
  private var wanted: Settings
  private var changes: [Change] = []
  /// What a person has to do because the file cannot say the device ID; `nil`: nothing.
  private(set) var problem: String?
  /// Whether the file may name the device ID.
  private let mayNameDevice: Bool

  private typealias Change = (key: String, values: [String])

  /// For a join by an invite: the file will name the invite's relay. Adds that relay to `settings`, for this run.
  init(_ invitation: Invitation, _ given: JoinOptions, isReset: Bool, _ settings: inout Settings) throws {
    path = given.path
    isRequired = true
    mayNameDevice = true
    self.given = given
    wanted = given.file
    if isReset || wanted.servers.isEmpty {
      setServers(given.servers.isEmpty ? invitation.servers : given.servers)
    }
    if isReset || wanted.serverKeys.isEmpty {
      setServerKeys(given.serverKeys.isEmpty ? [invitation.serverKey] : given.serverKeys)
    }
    if let id = given.deviceID { setDeviceID(id) }
    if isReset || settings.servers.isEmpty { settings.servers = wanted.servers }
    if isReset || settings.serverKeys.isEmpty { settings.serverKeys = wanted.serverKeys }
    _ = try content()
  }

  /// For a join by options alone. `isUsualState`: the device's state directory is the one that the file names, so the
  /// next start without options has the same key. `isOwn`: the file is meant for this device, and not only the default
  /// one.
  init(_ given: JoinOptions, isUsualState: Bool, isOwn: Bool) {
    path = given.path
    isRequired = false
    self.given = given
    wanted = given.file
    let isNew = wanted.servers.isEmpty
    mayNameDevice = isNew || isUsualState
    // Another relay for once does not change where the device belongs.
    guard isOwn, isNew || given.servers.isEmpty || !Set(wanted.servers).isDisjoint(with: given.servers) else { return }
    if isNew { setServers(given.servers) }
    if wanted.serverKeys.isEmpty { setServerKeys(given.serverKeys) }
    if mayNameDevice, let id = given.deviceID { setDeviceID(id) }
  }

  /// Whether the file, and no option, gives the device ID.
  var fileNamesDevice: Bool { given.deviceID == nil && given.file.deviceID != nil }

  /// Adds the default device ID, if anything is to be written: a later start has the same one, even if the host has
  /// been renamed and the state directory is lost.
  mutating func add(deviceID id: String) {
    guard mayNameDevice, isRequired || !changes.isEmpty, wanted.deviceID == nil, !given.isOfRelay else { return }
    setDeviceID(id)
  }

  /// Adds the key of a relay that is trusted because it was the first to answer, if anything is to be written. Of
  /// several servers each may be a relay of its own, with another key. `key` gives the key of a server.
  mutating func addServerKey(_ key: (String) -> [UInt8]?) {
    guard !changes.isEmpty, wanted.serverKeys.isEmpty, wanted.servers.count == 1,
      let key = key(wanted.servers[0].description)
    else { return }
    setServerKeys([key])
    // In the file it stands behind the server.
    if let id = changes.firstIndex(where: { $0.key == "device-id" }) { changes.append(changes.remove(at: id)) }
  }

  /// The relay's key, if the file will pin one that it did not pin before.
  var newServerKeys: [[UInt8]] { given.file.serverKeys.isEmpty ? wanted.serverKeys : [] }

  /// Adds what the file says now, after `write`, to what the daemon goes by.
  func complete(_ settings: inout Settings) {
    if settings.deviceID == nil { settings.deviceID = wanted.deviceID }
    if settings.serverKeys.isEmpty { settings.serverKeys = wanted.serverKeys }
  }

  private mutating func setServers(_ servers: [ServerAddress]) {
    Self.set(\.servers, servers, "server", servers.map(\.description), &wanted, &changes)
  }

  private mutating func setServerKeys(_ keys: [[UInt8]]) {
    Self.set(\.serverKeys, keys, "server-key", keys.map(KeyText.relay.text), &wanted, &changes)
  }

  /// The relay knows the key by this ID from now on, and refuses it under another. A file that is a relay's too does
  /// not say it, as that host has another ID in its own network; the state directory remembers it.
  private mutating func setDeviceID(_ id: String) {
    guard given.isOfRelay else {
      return Self.set(\.deviceID, id, "device-id", [id], &wanted, &changes)
    }
    guard let other = wanted.deviceID, other != id else { return }
    problem =
      "\(path) says device-id: \(other) for this host's own relay too, so it stays; give --device-id \(id) at each "
      + "start, or give mnedc-join a file of its own (--config)"
  }

  private static func set<Value: Equatable>(
    _ setting: WritableKeyPath<Settings, Value>, _ value: Value, _ key: String, _ texts: [String],
    _ wanted: inout Settings, _ changes: inout [Change]
  ) {
    guard wanted[keyPath: setting] != value else { return }
    wanted[keyPath: setting] = value
    changes.append((key, texts))
  }

  /// What the file is to hold; `nil` if nothing changes. It is read again to see whether it says what it should: a file
  /// may be laid out in a way that lets nothing follow, or use a value in several places.
  private func content() throws(Failure) -> [UInt8]? {
    guard !changes.isEmpty else { return nil }
    if let content = try? Settings.edited(given.content ?? [], setting: changes),
      (try? Settings.load(content, file: path, over: given.defaults)) == wanted
    {
      return content
    }
    throw Failure(.configuration, "\(path) cannot be changed as it is laid out; write there: \(shown)")
  }

  /// The changes, for people.
  private var shown: String { Self.text(changes) }

  private static func text(_ changes: [Change]) -> String {
    changes.map { change in
      let values = change.values.map { "\"\($0)\"" }
      return "\(change.key): \(values.count == 1 ? values[0] : "[\(values.joined(separator: ", "))]")"
    }.joined(separator: ", ")
  }

  // MARK: Writing

  /// Where the file is.
  final class Place {
    fileprivate let directory: Directory
    fileprivate let name: String

    fileprivate init(_ directory: consuming Directory, _ name: String) {
      self.directory = directory
      self.name = name
    }
  }

  /// The directory of the file, made if it is missing, and the file's name in it; `nil` if nothing is to be written.
  /// Throws if that would fail later. To be called with the rights that `write` will have.
  func place() throws(Failure) -> Place? {
    guard try content() != nil else { return nil }
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    let isRegular: Bool
    let place: Place
    do throws(Errno) {
      _ = try Directory.make(parent, mode: 0o755)
      let directory = try Directory(parent)
      try directory.checkWritable()
      place = Place(directory, name)
      isRegular = try place.directory.attributes(of: name).map { $0.kind == .regular } ?? true
    } catch {
      throw Failure(
        error == .permissionDenied ? .noPermission : .cannotCreate,
        isRequired
          ? "cannot write \(path), which is to name the relay: \(error); "
            + (error == .permissionDenied ? "run as root, or name" : "name") + " another file with --config"
          : "this device has joined, but \(path) cannot be written: \(error); write there: \(shown)")
    }
    guard isRegular else {
      throw Failure(
        .cannotCreate,
        isRequired
          ? "\(path) is no regular file, so the relay cannot be added to it; name another --config"
          : "this device has joined, but \(path), which is to name the relay, is no regular file; write to another: "
            + "\(shown)"
      )
    }
    return place
  }

  /// Writes the file, whole or not at all.
  func write(to place: Place) throws(Failure) {
    guard let content = try content() else { return }
    do throws(Errno) {
      let lock = try place.directory.lock()
      if let former = given.content {
        let (attributes, now) = try place.directory.read(place.name, limit: Settings.maximumFileSize + 1)
        guard now == former else { throw Errno.fileExists }
        try place.directory.rewrite(place.name, content, like: attributes)
      } else {
        try place.directory.write(place.name, content, over: .keep, owner: nil)
      }
      _ = consume lock
    } catch {
      let why = error == .fileExists ? "another program has written it meanwhile" : "\(error)"
      throw Failure(
        .ioError,
        "the relay has let this device in, but \(path) cannot be written: \(why); "
          + (isRequired
            ? "so it has declined, and the invite is as it was; see to that and run the same again"
            : "write there: \(shown)"))
    }
  }
}
