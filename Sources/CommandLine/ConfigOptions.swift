public import ArgumentParser
public import Config

/// Where the settings come from: the same in all programs, but for the option's short name.
public protocol ConfigChoice: ParsableArguments {
  /// The file that the command line names.
  var config: String? { get }
}

/// With `-c` and `--config`.
public struct ConfigOptions: ConfigChoice {
  /// Read if it is there, when no other is named.
  public static let defaultPath = "/etc/mnedc/mnedc.yaml"

  @Option(name: .shortAndLong, help: .config, completion: .file(extensions: ["yaml", "yml"]))
  public var config: String?

  public init() {}

  /// The reference implementation's file, which names the relay of a device whose configuration names none.
  public static let referencePath = "/var/edge-orchestration/mnedc/client-config.yaml"

  /// What the reference implementation's file says; the defaults if it is missing.
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
  /// The file that is read; one of several networks has one of its own.
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
