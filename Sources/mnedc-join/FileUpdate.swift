import CommandLine
import Config
import SystemIO
import SystemPackage
import Wire

/// The change of the configuration file after a relay has admitted this device: the relay, its key, and the device ID
/// by which it knows this device's key. The next start then needs neither invite nor options. A failed join writes
/// nothing.
struct FileUpdate {
  let path: String
  /// Whether the join fails if the file cannot be written, because the invite cannot be used again.
  let isRequired: Bool
  private let given: JoinOptions
  /// The new settings of the file.
  private var wanted: Settings
  private var changes: [Change] = []
  /// What the operator has to do because the file cannot have the device ID; `nil`: nothing.
  private(set) var problem: String?
  /// Whether the file may name the device ID.
  private let mayNameDevice: Bool

  private typealias Change = (key: String, values: [String])

  /// For a join by an invite: the file will name the relay of the invite. Adds that relay to `settings` for this run.
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

  /// For a join by options alone. `isUsualState`: the file names the state directory in use, so the next start without
  /// options has the same key. `isOwn`: the file is for this device, and not only the default file.
  init(_ given: JoinOptions, isUsualState: Bool, isOwn: Bool) {
    path = given.path
    isRequired = false
    self.given = given
    wanted = given.file
    let isNew = wanted.servers.isEmpty
    mayNameDevice = isNew || isUsualState
    // Another relay for one run does not change the file.
    guard isOwn, isNew || given.servers.isEmpty || !Set(wanted.servers).isDisjoint(with: given.servers) else { return }
    if isNew { setServers(given.servers) }
    if wanted.serverKeys.isEmpty { setServerKeys(given.serverKeys) }
    if mayNameDevice, let id = given.deviceID { setDeviceID(id) }
  }

  /// Whether the device ID comes from the file, and not from an option.
  var fileNamesDevice: Bool { given.deviceID == nil && given.file.deviceID != nil }

  /// Adds the default device ID if there is another change, so that a later start has the same ID even if the host has
  /// been renamed and the state directory is lost.
  mutating func add(deviceID id: String) {
    guard mayNameDevice, isRequired || !changes.isEmpty, wanted.deviceID == nil, !given.isOfRelay else { return }
    setDeviceID(id)
  }

  /// Adds the key that the relay had at first contact, if there is another change and only one server: each of several
  /// servers may be another relay, with another key. `key` gives the key of a server.
  mutating func addServerKey(_ key: (String) -> [UInt8]?) {
    guard !changes.isEmpty, wanted.serverKeys.isEmpty, wanted.servers.count == 1,
      let key = key(wanted.servers[0].description)
    else { return }
    setServerKeys([key])
    // After the server in the file.
    if let id = changes.firstIndex(where: { $0.key == "device-id" }) { changes.append(changes.remove(at: id)) }
  }

  /// The relay's key, if the file will pin one for the first time.
  var newServerKeys: [[UInt8]] { given.file.serverKeys.isEmpty ? wanted.serverKeys : [] }

  /// Adds the new settings of the file to those in force. Called after `write`.
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

  /// From now on the relay knows the key by this ID, and refuses it with another. A file that also configures a relay
  /// does not get the ID, because that host has another ID in its own network; the state directory has it.
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

  /// The new content of the file; `nil` if nothing changes. Throws if the content does not load as the wanted settings:
  /// the layout may not allow another key at the end, or an alias may use a value in several places.
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

  /// The place of the file.
  final class Place {
    fileprivate let directory: Directory
    fileprivate let name: String

    fileprivate init(_ directory: consuming Directory, _ name: String) {
      self.directory = directory
      self.name = name
    }
  }

  /// The directory of the file, made if it is missing, and the file's name in it; `nil` if nothing changes. Throws if
  /// writing would fail later. To be called with the privileges that `write` will have.
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

  /// Writes the file wholly or not at all.
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
        "the relay has admitted this device, but \(path) cannot be written: \(why); "
          + (isRequired
            ? "so it has declined, and the invite can be used again; correct that and run the same again"
            : "write there: \(shown)"))
    }
  }
}
