public import ArgumentParser
public import Config
internal import SystemIO

/// Where the settings come from. The programs differ in the option's short name only.
public protocol ConfigChoice: ParsableArguments {
  /// The file that the command line names.
  var config: String? { get }
}

/// With `-c` and `--config`.
public struct ConfigOptions: ConfigChoice {
  /// The file that is read if it exists and no other is named.
  public static let defaultPath = "/etc/mnedc/mnedc.yaml"

  @Option(name: .shortAndLong, help: .config, completion: .file(extensions: ["yaml", "yml"]))
  public var config: String?

  public init() {}

  /// The reference implementation's file, which names the relay of a device whose configuration names none.
  public static let referencePath = "/var/edge-orchestration/mnedc/client-config.yaml"

  /// The settings of that file; the defaults if it is missing.
  public static func loadReference() throws -> Settings {
    try ConfigFile(nil, usual: referencePath, defaults: Settings(), isTrusted: true).load()
  }
}

/// With `--config` alone, for a program in which `-c` is something else.
public struct LongConfigOptions: ConfigChoice {
  @Option(help: .config, completion: .file(extensions: ["yaml", "yml"]))
  public var config: String?

  public init() {}
}

extension ArgumentHelp {
  fileprivate static var config: ArgumentHelp {
    ArgumentHelp("Read settings from this file (default: \(ConfigOptions.defaultPath)).", valueName: "file")
  }
}

extension ConfigChoice {
  /// The file to read; each of several networks has its own.
  public func file(of network: NetworkName? = nil) -> ConfigFile {
    ConfigFile(
      config, usual: network?.configuration ?? ConfigOptions.defaultPath, defaults: Settings(in: network),
      isTrusted: true)
  }

  /// The settings of the file, or the defaults where no file is named and the usual one is missing.
  public func load() throws -> Settings {
    try ConfigFile(config, usual: ConfigOptions.defaultPath, defaults: Settings(), isTrusted: false).load()
  }
}

/// The file and the command line check a setting by the same rule.
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

/// Options of both daemons.
public struct DaemonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Log this and worse: trace, debug, info, notice, warning, error, critical (default: \(Settings().logLevel)).",
      valueName: "level"),
    completion: .list(Settings.LogLevel.allCases.map(\.rawValue)),
    transform: { try ValueKind<Settings.LogLevel>.logLevel.option($0) })
  public var logLevel: Settings.LogLevel?

  @Flag(help: "Check the configuration, print it, and exit.")
  public var check = false

  public init() {}

  /// Prints the settings in force as a configuration file, for `--check`.
  public func show(_ settings: Settings) throws {
    try printOut(settings.render())
  }
}

extension ArgumentHelp {
  /// The help of `--socket`; each daemon has its own default.
  public static func socket(default path: String) -> ArgumentHelp {
    ArgumentHelp("Listen for mnedc-ctl and mnedc-peers here (default: \(path)).", valueName: "path")
  }

  /// The help of `--state`; each daemon has its own default.
  public static func state(default path: String) -> ArgumentHelp {
    ArgumentHelp("Keep keys and what else must outlive the program here (default: \(path)).", valueName: "directory")
  }
}
