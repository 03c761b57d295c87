import CommandLine
import Config
import SystemIO
import SystemPackage
import Wire

/// What to write to the configuration file once a relay has admitted this device: which relay that is, and the device
/// ID by which it knows the device's key. The next start then needs neither invite nor options. A join that fails
/// writes nothing.
struct FileUpdate {
  let path: String
  /// Whether the join fails if the file cannot be written: an invite cannot be used a second time.
  let isRequired: Bool
  /// What the file held when it was read; `nil` if there was none.
  private let former: [UInt8]?
  /// What it is to hold; `nil` if nothing changes.
  private let content: [UInt8]?
  /// What that adds or changes, for people.
  private let shown: String
  /// What a person has to do because the file cannot be changed as needed; `nil`: nothing.
  let problem: String?

  private typealias Change = (key: String, values: [String])

  /// For a join by an invite: the file will name the invite's relay. Adds that relay to `settings`, for this run.
  init(_ invitation: Invitation, _ given: JoinOptions, isReset: Bool, _ settings: inout Settings) throws {
    var (wanted, changes) = (given.file, [Change]())
    if isReset || wanted.servers.isEmpty {
      let servers = given.servers.isEmpty ? invitation.servers : given.servers
      Self.set(\.servers, servers, "server", servers.map(\.description), &wanted, &changes)
    }
    if isReset || wanted.serverKeys.isEmpty {
      let keys = given.serverKeys.isEmpty ? [invitation.serverKey] : given.serverKeys
      Self.set(\.serverKeys, keys, "server-key", keys.map(KeyText.relay.text), &wanted, &changes)
    }
    let problem = Self.setDeviceID(given, &wanted, &changes)
    if isReset || settings.servers.isEmpty { settings.servers = wanted.servers }
    if isReset || settings.serverKeys.isEmpty { settings.serverKeys = wanted.serverKeys }
    path = given.path
    isRequired = true
    former = given.content
    self.problem = problem
    shown = Self.text(changes)
    content = changes.isEmpty ? nil : try Self.edited(given, changes, expecting: wanted)
  }

  /// For a join by options alone. `isUsualState`: the device's state directory is the one that the file names, so the
  /// next start without options has the same key. `isOwn`: the file is meant for this device, and not only the default
  /// one.
  init(_ given: JoinOptions, isUsualState: Bool, isOwn: Bool) {
    path = given.path
    isRequired = false
    former = given.content
    var (wanted, changes) = (given.file, [Change]())
    let isNew = wanted.servers.isEmpty
    // Another relay for once does not change where the device belongs.
    guard isOwn, isNew || given.servers.isEmpty || !Set(wanted.servers).isDisjoint(with: given.servers) else {
      (content, shown, problem) = (nil, "", nil)
      return
    }
    if isNew, !given.servers.isEmpty {
      Self.set(\.servers, given.servers, "server", given.servers.map(\.description), &wanted, &changes)
    }
    if wanted.serverKeys.isEmpty, !given.serverKeys.isEmpty {
      Self.set(
        \.serverKeys, given.serverKeys, "server-key", given.serverKeys.map(KeyText.relay.text), &wanted, &changes)
    }
    var problem = isNew || isUsualState ? Self.setDeviceID(given, &wanted, &changes) : nil
    var content: [UInt8]?
    do throws(Failure) {
      if !changes.isEmpty { content = try Self.edited(given, changes, expecting: wanted) }
    } catch {
      problem = error.message
    }
    (self.content, shown, self.problem) = (content, Self.text(changes), problem)
  }

  private static func set<Value: Equatable>(
    _ setting: WritableKeyPath<Settings, Value>, _ value: Value, _ key: String, _ texts: [String],
    _ wanted: inout Settings, _ changes: inout [Change]
  ) {
    guard wanted[keyPath: setting] != value else { return }
    wanted[keyPath: setting] = value
    changes.append((key, texts))
  }

  /// The relay knows the key by this ID from now on, and refuses it under another. A file that is a relay's too does
  /// not say it, as that host has another ID in its own network; the state directory remembers it.
  private static func setDeviceID(
    _ given: JoinOptions, _ wanted: inout Settings, _ changes: inout [Change]
  ) -> String? {
    guard let id = given.deviceID else { return nil }
    guard given.isOfRelay else {
      set(\.deviceID, id, "device-id", [id], &wanted, &changes)
      return nil
    }
    guard let other = wanted.deviceID, other != id else { return nil }
    return
      "\(given.path) says device-id: \(other) for this host's own relay too, so it stays; give --device-id \(id) at each start, or "
      + "give mnedc-join a file of its own (--config)"
  }

  /// The file's content with these changes. It is read again to see whether it says what it should: a file may be laid
  /// out in a way that lets nothing follow, or use a value in several places.
  private static func edited(
    _ given: JoinOptions, _ changes: [Change], expecting wanted: Settings
  ) throws(Failure) -> [UInt8] {
    if let content = try? Settings.edited(given.content ?? [], setting: changes),
      (try? Settings.load(content, file: given.path, over: given.defaults)) == wanted
    {
      return content
    }
    throw Failure(
      .configuration, "\(given.path) cannot be changed as it is laid out; write there: \(text(changes))")
  }

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
    guard content != nil else { return nil }
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
          : "this device has joined, but \(path), which is to name the relay, is no regular file; write to another: \(shown)"
      )
    }
    return place
  }

  /// Writes the file, whole or not at all.
  func write(to place: Place) throws(Failure) {
    guard let content else { return }
    do throws(Errno) {
      let lock = try place.directory.lock()
      if let former {
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
