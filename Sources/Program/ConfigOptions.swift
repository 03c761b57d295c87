public import ArgumentParser
public import Config

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

  /// The file that a daemon goes by; one of several networks has one of its own.
  public func file(of network: NetworkName? = nil) -> ConfigFile {
    ConfigFile(
      config, usual: network?.configuration ?? Self.defaultPath, defaults: Settings(in: network), isTrusted: true)
  }

  /// The reference implementation's file, which names the relay of a device whose configuration names none.
  public static let referencePath = "/var/edge-orchestration/mnedc/client-config.yaml"

  /// What the reference implementation's file says; the defaults if it is missing.
  public static func loadReference() throws -> Settings {
    try ConfigFile(nil, usual: referencePath, defaults: Settings(), isTrusted: true).load()
  }

  /// The settings of the file, or the defaults where no file is named and the usual one is missing.
  public func load() throws -> Settings {
    try ConfigFile(config, usual: Self.defaultPath, defaults: Settings(), isTrusted: false).load()
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
