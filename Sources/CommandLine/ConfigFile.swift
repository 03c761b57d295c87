public import Config
internal import SystemIO
internal import SystemPackage

/// A configuration file: the one that the command line names, or the usual one.
public struct ConfigFile: Sendable {
  public private(set) var path: String
  /// Whether the command line names it, so that it has to exist.
  private let isNamed: Bool
  /// Whether a daemon reads it, so that no other user may be able to change it.
  private let isTrusted: Bool
  /// The settings where the file says nothing.
  public let defaults: Settings

  init(_ named: String?, usual: String, defaults: Settings, isTrusted: Bool) {
    self.isTrusted = isTrusted
    path = named ?? usual
    isNamed = named != nil
    self.defaults = defaults
  }

  /// The settings of the file, or the defaults where no file is named and the usual one is missing.
  public func load() throws -> Settings {
    try parse(try read())
  }

  /// As `load`, but takes what is right in a file with mistakes, and the defaults if it cannot be read.
  func loadInPart() -> Settings {
    guard let content = try? read() else { return defaults }
    return Settings.loadInPart(content, over: defaults)
  }

  /// The file's content; `nil` if the usual file, or one that may be new, is missing.
  public func read(mayBeNew: Bool = false) throws -> [UInt8]? {
    if isTrusted { try checkTrust() }
    do {
      return try readFile(path, limit: Settings.maximumFileSize + 1)
    } catch {
      if mayBeNew || !isNamed, error == .noSuchFileOrDirectory { return nil }
      throw Failure(Self.status(error), "cannot read the configuration \(path): \(error)\(hint(error))")
    }
  }

  /// This file by its absolute path.
  public func fixed() throws -> ConfigFile {
    var file = self
    do {
      file.path = try absolutePath(path)
    } catch {
      throw Failure(.systemError, "cannot tell where this process is: \(error); give the whole path to --config")
    }
    return file
  }

  /// As `load`, in a daemon that runs: it must not wait for the file, and may have become another user.
  public func reload(mayBeNew: Bool = false) throws -> Settings {
    if isTrusted { try checkTrust() }
    do {
      return try parse(try readRegularFile(path, limit: Settings.maximumFileSize + 1))
    } catch let error as Errno {
      if mayBeNew || !isNamed, error == .noSuchFileOrDirectory { return defaults }
      let why =
        switch error {
        case .isDirectory: "\(error); put the file in its place again, or start the daemon anew with another --config"
        case .invalidArgument: "it is no regular file, so it was good for the start only"
        case .permissionDenied: "\(error); \(permission)"
        default: "\(error)"
        }
      throw Failure(.noInput, "cannot read the configuration \(path): \(why)")
    }
  }

  /// The settings that the file's content gives.
  public func parse(_ content: [UInt8]?) throws -> Settings {
    guard let content else { return defaults }
    do {
      return try Settings.load(content, file: path, over: defaults)
    } catch {
      throw Failure(.configuration, error.description)
    }
  }

  /// Throws if other users can change or replace the file: it can name a command for the daemon to run, and the relays
  /// that it trusts. `read` reports a file that cannot be examined.
  private func checkTrust() throws(Failure) {
    guard let file = try? FileAttributes(of: path, followingLinks: true), file.kind == .regular else { return }
    let danger = "they could have this program run any command (join.on-peer)"
    let word = ShellText.word(path)
    if let owner = Self.stranger(file) {
      throw Failure(
        .noPermission,
        "the configuration \(path) belongs to the user \(owner), who could have this program run any command "
          + "(join.on-peer); look it through, then chown \(User.name(of: currentUser())) \(word)")
    }
    guard !file.isWritableByOthers else {
      throw Failure(
        .noPermission,
        "the configuration \(path) can be changed by other users (mode \(file.octalMode)), so \(danger); look it "
          + "through, then chmod go-w \(path)")
    }
    for place in Set([path, (try? realPath(path)) ?? path].map { Self.parent(of: $0) }).sorted() {
      guard let directory = try? FileAttributes(of: place, followingLinks: true) else { continue }
      if let owner = Self.stranger(directory) {
        throw Failure(
          .noPermission,
          "the configuration \(path) can be replaced by the user \(owner), whose directory \(place) is and who could "
            + "have this program run any command (join.on-peer); look it through, then move it to /etc/mnedc")
      }
      guard directory.isWritableByOthers, directory.mode & 0o1000 == 0 else { continue }
      throw Failure(
        .noPermission,
        "the configuration \(path) can be replaced by other users, as \(place) is writable for them (mode "
          + "\(directory.octalMode)), so \(danger); look it through, then chmod go-w \(place), or move the file to "
          + "/etc/mnedc"
      )
    }
  }

  /// The name of the owner, if it is neither root nor the user of this process.
  private static func stranger(_ file: FileAttributes) -> String? {
    [0, currentUser()].contains(file.user) ? nil : User.name(of: file.user)
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// An error that passes by itself lets a service manager try again.
  private static func status(_ error: Errno) -> ExitStatus {
    switch error {
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .ioError, .staleNFSFileHandle: .systemError
    default: .noInput
    }
  }

  private func hint(_ error: Errno) -> String {
    switch error {
    case .noSuchFileOrDirectory: "; name another with --config"
    case .permissionDenied:
      "; " + (ServiceManager.isThere ? permission : "run as root or as the user that the file is for")
    case .isDirectory: "; name a file in it with --config"
    default: ""
    }
  }

  /// How the daemon's user gets the right to read the file.
  private var permission: String {
    let (user, group) = (User.name(of: currentUser()), User.groupName(of: currentGroup()))
    // The unit takes away root's right to read files of other users.
    if currentUser() == 0 { return "this daemon may read only what is root's: chown root \(ShellText.word(path))" }
    let isInReach = (try? FileAttributes(of: path)) != nil
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    let (place, mode) = isInReach ? (path, "640") : (slash == path.startIndex ? "/" : String(path[..<slash]), "750")
    let word = ShellText.word(place)
    return "let the user \(user), which this daemon runs as, read it: chgrp \(group) \(word) && chmod \(mode) \(word)"
  }
}

extension Settings {
  /// Without the arguments of commands, which may hold passwords.
  public var withoutCommands: Settings {
    var settings = self
    if settings.join.onPeer.count > 1 { settings.join.onPeer[1...] = ["(arguments left out)"] }
    return settings
  }
}
