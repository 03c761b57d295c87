public import ArgumentParser
public import Config
internal import SystemIO
internal import SystemPackage

/// Where the settings come from: the same in all programs.
public struct ConfigOptions: ParsableArguments {
  /// Read if it is there, when no other is named.
  public static let defaultPath = "/etc/mnedc/mnedc.yaml"

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Read settings from this file (default: \(Self.defaultPath)).", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  public var config: String?

  public init() {}

  /// The file that is read.
  public var path: String { config ?? Self.defaultPath }

  /// The settings of the file, or the defaults where no file is named and the usual one is missing.
  public func load() throws -> Settings {
    try parse(try read())
  }

  /// What the file holds; `nil` if it is missing, which only the usual one may be, and one that is about to be made.
  public func read(mayBeNew: Bool = false) throws -> [UInt8]? {
    do {
      return try readFile(path, limit: Settings.maximumFileSize + 1)
    } catch {
      if mayBeNew || config == nil, error == .noSuchFileOrDirectory { return nil }
      throw Failure(.noInput, "cannot read the configuration \(path): \(error)\(Self.hint(error))")
    }
  }

  /// With the file's path as it is wherever this process goes.
  public func fixed() throws -> ConfigOptions {
    var options = self
    do {
      options.config = try config.map { path throws(Errno) in try absolutePath(path) }
    } catch {
      throw Failure(.systemError, "cannot tell where this process is: \(error); give the whole path to --config")
    }
    return options
  }

  /// As `load`, by a daemon that runs: it may not wait for the file, and may be another user than when it began.
  public func reload(mayBeNew: Bool = false) throws -> Settings {
    do {
      return try parse(try readRegularFile(path, limit: Settings.maximumFileSize + 1))
    } catch let error as Errno {
      if mayBeNew || config == nil, error == .noSuchFileOrDirectory { return Settings() }
      let why =
        switch error {
        case .invalidArgument: "it is no regular file, so it was good for the start only"
        case .permissionDenied:
          "\(error); let user \(currentUser()), whom this daemon runs as, read it, or start the daemon anew"
        default: "\(error)"
        }
      throw Failure(.noInput, "cannot read the configuration \(path): \(why)")
    }
  }

  /// The settings that the file's content gives.
  public func parse(_ content: [UInt8]?) throws -> Settings {
    guard let content else { return Settings() }
    do {
      return try Settings.load(content, file: path)
    } catch {
      throw Failure(.configuration, error.description)
    }
  }

  private static func hint(_ error: Errno) -> String {
    switch error {
    case .noSuchFileOrDirectory: "; name another with --config"
    case .permissionDenied: "; run as root or as the user that the file is for"
    default: ""
    }
  }
}

/// Settings that the file and the command line share, checked by the same rule.
extension ValueKind {
  /// For an option's `transform`.
  public func option(_ text: String) throws -> Value {
    do {
      return try parse(text)
    } catch {
      throw ValidationError(error.message)
    }
  }
}
