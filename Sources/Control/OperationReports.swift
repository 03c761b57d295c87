// What becomes of a daemon that runs.

/// The answer to `reload`. A key that is in neither list is as it was.
public struct ReloadReport: Codable, Sendable, Equatable {
  public struct Change: Codable, Sendable, Equatable {
    /// A key of the configuration file, such as `relay.queue`.
    public var key: String
    /// For people.
    public var old: String
    public var new: String

    public init(key: String, old: String, new: String) {
      self.key = key
      self.old = old
      self.new = new
    }
  }

  public private(set) var version = JSONVersion()
  /// What holds from now on.
  public var applied: [Change]
  /// What holds once the daemon is started anew.
  public var needsRestart: [Change]

  public init(applied: [Change], needsRestart: [Change]) {
    self.applied = applied
    self.needsRestart = needsRestart
  }
}

/// What `stop` prints with --json.
public struct StopReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// Where the daemon was told.
  public var socket: String

  public init(socket: String) {
    self.socket = socket
  }
}

/// The answer to `log-level`.
public struct LogLevelReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// What is of this level and worse is logged.
  public var level: String
  /// The level that the configuration, or the command line, says.
  public var configuredLevel: String

  public init(level: String, configuredLevel: String) {
    self.level = level
    self.configuredLevel = configuredLevel
  }
}

/// The answer to `drain`.
public struct DrainReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// How many sessions there were.
  public var sessions: Int
  /// How many of them were not through when the time was over.
  public var cutOff: Int
  public var duration: Double
  /// The relay's process that serves after `drain --restart`.
  public var processId: Int?

  public init(sessions: Int, cutOff: Int, duration: Double) {
    self.sessions = sessions
    self.cutOff = cutOff
    self.duration = duration
  }
}

/// The answer to `backup`.
public struct BackupReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// Where the tool has put the copy.
  public var file: String?
  public var bytes: Int
  public var devices: Int
  public var leases: Int
  public var invites: Int
  /// What the copy was made of.
  public var database: String
  /// The files with keys, which a restored relay needs as well.
  public var keys: [String]

  public init(bytes: Int, devices: Int, leases: Int, invites: Int, database: String, keys: [String]) {
    self.bytes = bytes
    self.devices = devices
    self.leases = leases
    self.invites = invites
    self.database = database
    self.keys = keys
  }
}
