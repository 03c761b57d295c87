/// The answer to `diagnostics`: what a bug report has of a daemon beside its status. It contains public keys, which
/// `mnedc-ctl report` leaves out.
public struct DiagnosticsReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// The settings in force, as a configuration file, without the arguments of commands.
  public var configuration: String
  /// The last lines of its log, the newest last.
  public var log: [LogLineReport]

  public init(configuration: String, log: [LogLineReport]) {
    self.configuration = configuration
    self.log = log
  }
}

/// A line of a daemon's log.
public struct LogLineReport: Codable, Sendable, Equatable {
  /// The daemon's local time, for people.
  public var time: String
  /// Unix seconds.
  public var loggedAt: Int
  /// Such as `warning`.
  public var level: String
  public var text: String

  public init(time: String, loggedAt: Int, level: String, text: String) {
    self.time = time
    self.loggedAt = loggedAt
    self.level = level
    self.text = text
  }
}

/// What `mnedc-ctl report` prints with --json: the file that it has written.
public struct ArchiveReport: Codable, Sendable, Equatable {
  public struct Entry: Codable, Sendable, Equatable {
    /// The file's name in the archive.
    public var name: String
    public var bytes: Int

    public init(name: String, bytes: Int) {
      self.name = name
      self.bytes = bytes
    }
  }

  public private(set) var version = JSONVersion()
  public var file: String
  public var entries: [Entry]
  /// What the archive lacks, and why.
  public var missing: [String]

  public init(file: String, entries: [Entry], missing: [String]) {
    self.file = file
    self.entries = entries
    self.missing = missing
  }
}
