public import SystemIO
internal import SystemPackage

/// The directory of a daemon's state, for the daemon alone: mode 0700, files 0600. For any thread, and for several
/// processes at a time.
public final class StateDirectory: Sendable {
  public let path: String
  private let directory: Directory
  /// Who owns new files, if not the process's user.
  private let heir: User?
  /// Who may own files, beside root.
  private let user: UInt32

  /// Opens the directory at `path`, or makes it if its parent exists. Root can name the user that it will become
  /// (`Privileges`): then a directory of root's goes to that user, with all that is in it.
  public init(_ path: String, for heir: User? = nil) throws(StateError) {
    self.path = path
    self.heir = heir
    user = heir?.id ?? currentUser()
    try attempt("make the directory \(path)") { () throws(Errno) in _ = try Directory.make(path, mode: 0o700) }
    let step = "open the directory \(path)"
    // By its path first: the open directory could not say that the path is a symbolic link.
    try Self.check(try attempt(step) { () throws(Errno) in try FileAttributes(of: path) }, path, user)
    do {
      directory = try Directory(path)
    } catch {
      throw StateError(step, error)
    }
    let attributes = try attempt(step) { () throws(Errno) in try directory.attributes() }
    try Self.check(attributes, path, user)
    if let heir, attributes.user != heir.id {
      let names = try attempt(step) { () throws(Errno) in try directory.names() }
      if let other = names.first(where: { !Self.isOurs($0) }) {
        throw StateError(
          .unsafe,
          "\(path) holds \(other), which is no file of a relay, so the directory is not given to the user "
            + "\(heir.name); name one of the relay's own with --state")
      }
      try attempt(step) { () throws(Errno) in try directory.handOver(user: heir.id, group: heir.group) }
    }
    // Drafts of killed processes do no harm; a directory that cannot be written shows when that is needed.
    try? attempt(step) { () throws(Errno) in
      let lock = try directory.lock()
      try directory.removeDrafts()
      _ = consume lock
    }
  }

  /// Whether the daemons make such a file, or a draft of it.
  private static func isOurs(_ name: String) -> Bool {
    let name = name.drop { $0 == "." }
    return name.hasPrefix("relay.") || name.hasPrefix("device.") || name.hasPrefix("device-id")
  }

  private static func check(_ attributes: FileAttributes, _ path: String, _ user: UInt32) throws(StateError) {
    switch attributes.kind {
    case .directory: break
    case .symbolicLink:
      throw StateError(.unsafe, "\(path) is a symbolic link; name the directory that it leads to with --state")
    case .regular, .other:
      throw StateError(.unsafe, "\(path) is no directory; remove it, or name another with --state")
    }
    guard attributes.user == user || attributes.user == 0 else {
      throw StateError(
        .unsafe,
        "\(path) belongs to user \(attributes.user) in place of \(user); chown -R \(user) \(path), or name another "
          + "with --state")
    }
    guard attributes.mode & 0o077 == 0 else {
      throw StateError(
        .unsafe, "\(path) is open to other users (mode \(attributes.octalMode)); close it with chmod 700 \(path)")
    }
  }

  /// A file's path, for messages and for libraries that open files themselves.
  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// What other users must not do with a file.
  public enum Secrecy: Sendable {
    /// Read it.
    case secret
    /// Change it.
    case trusted
  }

  /// A file's content; `nil` if it does not exist. Throws if it has more than `limit` bytes, or if other users may have
  /// read or changed it against `secrecy`.
  public func read(_ name: String, limit: Int, _ secrecy: Secrecy) throws(StateError) -> [UInt8]? {
    let path = file(name)
    let attributes = try perform("read", path) { () throws(Errno) in try directory.attributes(of: name) }
    guard let attributes else { return nil }
    try check(attributes, name, secrecy)
    let (opened, content) = try perform("read", path) { () throws(Errno) in try directory.read(name, limit: limit + 1) }
    try check(opened, name, secrecy)
    guard content.count <= limit else {
      throw StateError(
        .damaged, "\(path) is larger than \(limit) bytes, so this program did not write it; move it away")
    }
    return content
  }

  private func check(_ attributes: FileAttributes, _ name: String, _ secrecy: Secrecy) throws(StateError) {
    let path = file(name)
    switch attributes.kind {
    case .regular: break
    case .symbolicLink: throw StateError(.unsafe, "\(path) is a symbolic link; put the file itself in its place")
    case .directory, .other: throw StateError(.unsafe, "\(path) is no regular file; remove it")
    }
    guard attributes.user == user || attributes.user == 0 else {
      throw StateError(
        .unsafe, "\(path) belongs to user \(attributes.user) in place of \(user); if it is yours, chown \(user) \(path)"
      )
    }
    switch secrecy {
    case .secret where attributes.mode & 0o077 != 0:
      throw StateError(
        .unsafe,
        "\(path) is open to other users (mode \(attributes.octalMode)); chmod 600 \(path), or remove it if one of them "
          + "may have read it")
    case .trusted where attributes.mode & 0o022 != 0:
      throw StateError(
        .unsafe,
        "\(path) can be changed by other users (mode \(attributes.octalMode)); look it through, then chmod 600 \(path)"
      )
    case .secret, .trusted: break
    }
  }

  /// Makes a file, whole and on the disk when this returns. False: the file exists, and stays.
  public func create(_ name: String, _ content: [UInt8]) throws(StateError) -> Bool {
    do throws(Errno) {
      let lock = try directory.lock()
      try directory.write(name, content, over: .keep, owner: owner)
      _ = consume lock
      return true
    } catch {
      if error == .fileExists { return false }
      throw failure("write", file(name), error)
    }
  }

  /// Replaces a file's content (`nil`: it does not exist) by what `body` makes of it; `nil` changes nothing. Keeps
  /// other writers out meanwhile. After a crash at any moment, the old content or the new is there.
  public func update(
    _ name: String, limit: Int, _ secrecy: Secrecy, _ body: ([UInt8]?) throws(StateError) -> [UInt8]?
  ) throws(StateError) {
    let lock = try locked()
    if let content = try body(try read(name, limit: limit, secrecy)) {
      guard content.count <= limit else {
        throw StateError(
          .system(.fileTooLarge), "\(file(name)) has no room for more; remove what is of no use any more")
      }
      try perform("write", file(name)) { () throws(Errno) in
        try directory.write(name, content, over: .replace, owner: owner)
      }
    }
    _ = consume lock
  }

  /// Renames a file over another.
  public func move(_ name: String, to other: String) throws(StateError) {
    let lock = try locked()
    try perform("rename", file(name)) { () throws(Errno) in try directory.move(name, to: other) }
    _ = consume lock
  }

  /// Renames a file that cannot be used to `.damaged`, so that it can be made anew. Returns a message: what is wrong,
  /// where the file is now, and that `consequence`.
  public func setAside(_ name: String, because error: StateError, _ consequence: String) -> String {
    let new = "\(name).damaged"
    do throws(StateError) {
      try move(name, to: new)
      return "\(error.finding); it is \(file(new)) now, and \(consequence)"
    } catch let obstacle {
      return "\(error.finding); it cannot be put aside (\(obstacle.finding)), and \(consequence)"
    }
  }

  /// Removes a file if it exists.
  public func remove(_ name: String) throws(StateError) {
    let lock = try locked()
    try perform("remove", file(name)) { () throws(Errno) in try directory.remove(name) }
    _ = consume lock
  }

  /// Only root gives files away.
  private var owner: User? { heir.flatMap { currentUser() == $0.id ? nil : $0 } }

  private func locked() throws(StateError) -> DirectoryLock {
    do {
      return try directory.lock()
    } catch {
      throw failure("lock", path, error)
    }
  }

  private func perform<Result>(
    _ verb: String, _ path: String, _ body: () throws(Errno) -> Result
  ) throws(StateError) -> Result {
    do {
      return try body()
    } catch {
      throw failure(verb, path, error)
    }
  }

  /// A service does not choose its user or its directory, so the file has to change its owner.
  private func failure(_ verb: String, _ path: String, _ error: Errno) -> StateError {
    guard heir != nil || ServiceManager.isThere, currentUser() != 0,
      [.permissionDenied, .notPermitted].contains(error),
      let owner = try? FileAttributes(of: path).user, owner != currentUser()
    else { return StateError("\(verb) \(path)", error) }
    let name = User.name(of: currentUser())
    return StateError(
      .denied,
      "cannot \(verb) \(path): \(error); it belongs to \(User.name(of: owner)), and this daemon runs as \(name): "
        + "chown \(name) \(path)")
  }
}

private func attempt<Result>(_ step: String, _ body: () throws(Errno) -> Result) throws(StateError) -> Result {
  do {
    return try body()
  } catch {
    throw StateError(step, error)
  }
}

/// One file of a state directory.
struct StateFile: Sendable {
  let directory: StateDirectory
  let name: String
  /// In bytes; more than this program writes.
  let limit: Int
  var secrecy = StateDirectory.Secrecy.trusted

  var path: String { directory.file(name) }

  func read() throws(StateError) -> [UInt8]? {
    try directory.read(name, limit: limit, secrecy)
  }

  func update(_ body: ([UInt8]?) throws(StateError) -> [UInt8]?) throws(StateError) {
    try directory.update(name, limit: limit, secrecy, body)
  }

  func remove() throws(StateError) {
    try directory.remove(name)
  }

  /// What `parse` makes of each line of `content` that is not empty; a line of which it makes nothing is `damaged`, to
  /// follow the line's number.
  func lines<Line>(
    of content: [UInt8]?, damaged: String, _ parse: (ArraySlice<UInt8>) -> Line?
  ) throws(StateError) -> [Line] {
    var lines: [Line] = []
    for (number, line) in zip(1..., (content ?? []).split(separator: UInt8(ascii: "\n"))) {
      guard let parsed = parse(line) else { throw StateError(.damaged, "\(path):\(number): \(damaged)") }
      lines.append(parsed)
    }
    return lines
  }
}
