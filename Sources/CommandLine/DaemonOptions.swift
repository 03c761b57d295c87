public import ArgumentParser
public import Config
internal import SystemIO

/// What both daemons can be told on the command line.
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

  /// What `--check` prints: the settings in force, as a file that says the same.
  public func show(_ settings: Settings) throws {
    try printOut(settings.render())
  }
}

extension ArgumentHelp {
  /// The help of `--socket`, of which each daemon has its own default.
  public static func socket(default path: String) -> ArgumentHelp {
    ArgumentHelp("Listen for mnedc-ctl and mnedc-peers here (default: \(path)).", valueName: "path")
  }

  /// The help of `--state`, of which each daemon has its own default.
  public static func state(default path: String) -> ArgumentHelp {
    ArgumentHelp("Keep keys and what else must outlive the program here (default: \(path)).", valueName: "directory")
  }
}
