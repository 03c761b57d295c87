public import Config
internal import SystemIO
internal import SystemPackage

/// A configuration file, as the command line names it or as it is where none is named.
public struct ConfigFile: Sendable {
  public private(set) var path: String
  /// Somebody has named it, so that it has to be there.
  private let isNamed: Bool
  /// What holds where it says nothing.
  public let defaults: Settings

  init(_ named: String?, usual: String, defaults: Settings) {
    path = named ?? usual
    isNamed = named != nil
    self.defaults = defaults
  }

  /// The settings of the file, or the defaults where no file is named and the usual one is missing.
  public func load() throws -> Settings {
    try parse(try read())
  }

  /// As `load`, but with what the file says in spite of mistakes in it, and with the defaults where it cannot be read.
  func loadInPart() -> Settings {
    guard let content = try? read() else { return defaults }
    return Settings.loadInPart(content, over: defaults)
  }

  /// What the file holds; `nil` if it is missing, which only the usual one may be, and one that is about to be made.
  public func read(mayBeNew: Bool = false) throws -> [UInt8]? {
    do {
      return try readFile(path, limit: Settings.maximumFileSize + 1)
    } catch {
      if mayBeNew || !isNamed, error == .noSuchFileOrDirectory { return nil }
      throw Failure(.noInput, "cannot read the configuration \(path): \(error)\(Self.hint(error))")
    }
  }

  /// With the file's path as it is wherever this process goes.
  public func fixed() throws -> ConfigFile {
    var file = self
    do {
      file.path = try absolutePath(path)
    } catch {
      throw Failure(.systemError, "cannot tell where this process is: \(error); give the whole path to --config")
    }
    return file
  }

  /// As `load`, by a daemon that runs: it may not wait for the file, and may be another user than when it began.
  public func reload(mayBeNew: Bool = false) throws -> Settings {
    do {
      return try parse(try readRegularFile(path, limit: Settings.maximumFileSize + 1))
    } catch let error as Errno {
      if mayBeNew || !isNamed, error == .noSuchFileOrDirectory { return defaults }
      let why =
        switch error {
        case .isDirectory: "\(error); put the file in its place again, or start the daemon anew with another --config"
        case .invalidArgument: "it is no regular file, so it was good for the start only"
        case .permissionDenied:
          "\(error); let the user \(User.name(of: currentUser())), whom this daemon runs as, read it, or start the daemon anew"
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

  private static func hint(_ error: Errno) -> String {
    switch error {
    case .noSuchFileOrDirectory: "; name another with --config"
    case .permissionDenied: "; run as root or as the user that the file is for"
    case .isDirectory: "; name a file in it with --config"
    default: ""
    }
  }
}
