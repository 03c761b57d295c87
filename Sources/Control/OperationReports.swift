// Answers to the commands that change a running daemon.

/// The answer to `reload`. A key in neither list did not change.
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
  /// Changes that took effect.
  public var applied: [Change]
  /// Changes that take effect when the daemon restarts.
  public var needsRestart: [Change]

  public init(applied: [Change], needsRestart: [Change]) {
    self.applied = applied
    self.needsRestart = needsRestart
  }
}

/// What `stop` prints with --json.
public struct StopReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// The socket of the daemon.
  public var socket: String

  public init(socket: String) {
    self.socket = socket
  }
}

/// The answer to `log-level`.
public struct LogLevelReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// The daemon logs messages of this level and above.
  public var level: String
  /// The level of the configuration or command line.
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
  /// How many of them still had packets queued at the end of the time.
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
  /// The file of the copy, which the tool adds.
  public var file: String?
  public var bytes: Int
  public var devices: Int
  public var leases: Int
  public var invites: Int
  /// The path of the relay's own database.
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
