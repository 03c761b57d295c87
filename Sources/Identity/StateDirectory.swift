public import SystemIO
internal import SystemPackage

/// The directory of what a daemon must not forget, for it alone: mode 0700, files 0600. For any thread, and for several
/// processes at a time.
public final class StateDirectory: Sendable {
  public let path: String
  private let directory: Directory
  /// Who owns new files, if it is not whoever makes them.
  private let heir: User?
  /// Who may own what is there, beside root.
  private let user: UInt32

  /// Opens the directory at `path`, or makes it below one that is there. Root can name the user that it will become
  /// (`Privileges`): a directory that is root's goes to that user then, with all that is in it.
  public init(_ path: String, for heir: User? = nil) throws(StateError) {
    self.path = path
    self.heir = heir
    user = heir?.id ?? currentUser()
    do {
      _ = try Directory.make(path, mode: 0o700)
    } catch {
      throw StateError("make the directory \(path)", error)
    }
    do {
      try Self.check(try FileAttributes(of: path), path, user)
      directory = try Directory(path)
      let attributes = try directory.attributes()
      try Self.check(attributes, path, user)
      if let heir, attributes.user != heir.id {
        if let stranger = try directory.names().first(where: { !Self.isOurs($0) }) {
          throw StateError(
            .unsafe,
            "\(path) holds \(stranger), which is no file of a relay, so the directory is not given to the user "
              + "\(heir.name); name one of the relay's own with --state")
        }
        try directory.handOver(user: heir.id, group: heir.group)
      }
      tidyUp()
    } catch let error as Errno {
      throw StateError("open the directory \(path)", error)
    } catch let error as StateError {
      throw error
    } catch {
      fatalError("no other error is thrown here")
    }
  }

  /// Takes away what a process that was killed has left, if that can be done now.
  private func tidyUp() {
    do {
      let lock = try directory.lock()
      try directory.removeDrafts()
      _ = consume lock
    } catch {
      // It is in nobody's way; whether the directory can be written to shows when that is needed.
    }
  }

  /// The files of the daemons, and those that are about to take their places.
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
        "\(path) belongs to user \(attributes.user) in place of \(user); chown -R \(user) \(path), or name another with "
          + "--state")
    }
    guard attributes.mode & 0o077 == 0 else {
      throw StateError(
        .unsafe, "\(path) is open to other users (mode \(attributes.octalMode)); close it with chmod 700 \(path)")
    }
  }

  /// Where a file of it is, for messages and for libraries that open files themselves.
  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// What there is to keep from others in a file.
  public enum Secrecy: Sendable {
    /// Its content: nobody else may read it.
    case secret
    /// Its truth: nobody else may change it.
    case trusted
  }

  /// A file's content; `nil` if it is not there. One of more than `limit` bytes, or one that others had their hands on, is an
  /// error.
  public func read(_ name: String, limit: Int, _ secrecy: Secrecy) throws(StateError) -> [UInt8]? {
    do {
      guard let attributes = try directory.attributes(of: name) else { return nil }
      try check(attributes, name, secrecy)
      let (opened, content) = try directory.read(name, limit: limit + 1)
      try check(opened, name, secrecy)
      guard content.count <= limit else {
        throw StateError(
          .damaged, "\(file(name)) is larger than \(limit) bytes, so this program did not write it; move it away")
      }
      return content
    } catch let error as Errno {
      throw failure("read", file(name), error)
    } catch let error as StateError {
      throw error
    } catch {
      fatalError("no other error is thrown here")
    }
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
    case .secret:
      guard attributes.mode & 0o077 == 0 else {
        throw StateError(
          .unsafe,
          "\(path) is open to other users (mode \(attributes.octalMode)); chmod 600 \(path), or remove it if one of them "
            + "may have read it")
      }
    case .trusted:
      guard attributes.mode & 0o022 == 0 else {
        throw StateError(
          .unsafe,
          "\(path) can be changed by other users (mode \(attributes.octalMode)); look it through, then chmod 600 \(path)"
        )
      }
    }
  }

  /// Makes a file, whole and on the disk when this returns. False: there is one already, which stays.
  public func create(_ name: String, _ content: [UInt8]) throws(StateError) -> Bool {
    do throws(Errno) {
      let lock = try directory.lock()
      try directory.write(name, content, over: .keep, owner: givenTo)
      _ = consume lock
      return true
    } catch {
      if error == .fileExists { return false }
      throw failure("write", file(name), error)
    }
  }

  /// Makes or replaces a file by what `body` makes of its content (`nil`: not there); if that is `nil`, all stays. No other
  /// writer comes between. After a crash at any moment, the old content or the new is there.
  public func update(
    _ name: String, limit: Int, _ secrecy: Secrecy, _ body: ([UInt8]?) throws(StateError) -> [UInt8]?
  ) throws(StateError) {
    let lock = try locked(name)
    if let content = try body(try read(name, limit: limit, secrecy)) {
      guard content.count <= limit else {
        throw StateError(
          .system(.fileTooLarge), "\(file(name)) has no room for more; remove what is of no use any more")
      }
      try attempt("write", file(name)) { () throws(Errno) in
        try directory.write(name, content, over: .replace, owner: givenTo)
      }
    }
    _ = consume lock
  }

  /// Gives a file the place of another, which is gone then.
  public func move(_ name: String, to other: String) throws(StateError) {
    let lock = try locked(name)
    try attempt("rename", file(name)) { () throws(Errno) in try directory.move(name, to: other) }
    _ = consume lock
  }

  /// Puts a file that cannot be used out of the way, under a name that ends with `.damaged`, so that it can be made
  /// anew. Returns what a person should know of that: what is wrong, where the file is now, and that `consequence`.
  public func setAside(_ name: String, because error: StateError, _ consequence: String) -> String {
    let new = "\(name).damaged"
    do throws(StateError) {
      try move(name, to: new)
      return "\(error.finding); it is \(file(new)) now, and \(consequence)"
    } catch let obstacle {
      return "\(error.finding); it cannot be put aside (\(obstacle.finding)), and \(consequence)"
    }
  }

  /// Removes a file if it is there.
  public func remove(_ name: String) throws(StateError) {
    let lock = try locked(name)
    try attempt("remove", file(name)) { () throws(Errno) in try directory.remove(name) }
    _ = consume lock
  }

  /// Only root gives files away.
  private var givenTo: User? { heir.flatMap { currentUser() == $0.id ? nil : $0 } }

  private func locked(_ name: String) throws(StateError) -> DirectoryLock {
    do {
      return try directory.lock()
    } catch {
      throw failure("lock", path, error)
    }
  }

  private func attempt(_ verb: String, _ path: String, _ body: () throws(Errno) -> Void) throws(StateError) {
    do {
      try body()
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
