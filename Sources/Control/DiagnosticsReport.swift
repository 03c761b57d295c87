/// The answer to `diagnostics`: what a bug report tells of a daemon beside its status. For `mnedc-ctl report`, which leaves keys out.
public struct DiagnosticsReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// What the daemon goes by, as a configuration file that says the same; arguments of commands are left out.
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
  /// The time of day there, for people.
  public var time: String
  /// In seconds since 1970.
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

/// What `report` prints with --json: the file that it has written.
public struct ArchiveReport: Codable, Sendable, Equatable {
  public struct Entry: Codable, Sendable, Equatable {
    /// In the archive.
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
  /// What is not in it, and why.
  public var missing: [String]

  public init(file: String, entries: [Entry], missing: [String]) {
    self.file = file
    self.entries = entries
    self.missing = missing
  }
}
