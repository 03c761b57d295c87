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
