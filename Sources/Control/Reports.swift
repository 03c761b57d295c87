// What the daemons answer, and what the tools print with --json: the property names, in snake_case, are the JSON's keys.
// Times are in seconds unless the name says otherwise; absent members are not known.

/// The answer to `status`.
public struct StatusReport: Codable, Sendable, Equatable {
  public var version = 1
  /// `mnedcd` or `mnedc-join`.
  public var program: String
  public var programVersion: String
  public var processId: Int
  public var uptime: Double
  /// The relay's part, if the daemon is one.
  public var relay: RelayReport?
  /// The device's part, if the daemon is one (a relay's host is a device too).
  public var device: DeviceReport?

  public init(program: String, programVersion: String, processId: Int, uptime: Double) {
    self.program = program
    self.programVersion = programVersion
    self.processId = processId
    self.uptime = uptime
  }
}

public struct RelayReport: Codable, Sendable, Equatable {
  public var listen: [String]
  public var pool: String
  public var address: String
  /// Devices that are in, without the relay's host, and how many can be.
  public var online: Int
  public var capacity: Int
  /// Connections that have not joined yet.
  public var joining: Int
  /// Data frames for addresses that nobody has.
  public var unreachableFrames: Int
  public var sessions: [SessionReport]

  public init(
    listen: [String], pool: String, address: String, online: Int, capacity: Int, joining: Int, unreachableFrames: Int,
    sessions: [SessionReport]
  ) {
    self.listen = listen
    self.pool = pool
    self.address = address
    self.online = online
    self.capacity = capacity
    self.joining = joining
    self.unreachableFrames = unreachableFrames
    self.sessions = sessions
  }
}

public struct SessionReport: Codable, Sendable, Equatable {
  public var address: String
  public var deviceId: String
  /// Where the device connects from, as the relay sees it.
  public var outerAddress: String
  public var connected: Double
  /// How long ago the device was heard last.
  public var silent: Double
  public var roundTripMs: Double?
  public var link: LinkReport

  public init(
    address: String, deviceId: String, outerAddress: String, connected: Double, silent: Double, roundTripMs: Double?,
    link: LinkReport
  ) {
    self.address = address
    self.deviceId = deviceId
    self.outerAddress = outerAddress
    self.connected = connected
    self.silent = silent
    self.roundTripMs = roundTripMs
    self.link = link
  }
}

/// One connection that carries frames.
public struct LinkReport: Codable, Sendable, Equatable {
  public var receivedFrames: Int
  public var receivedBytes: Int
  public var sentFrames: Int
  public var sentBytes: Int
  /// What waits to be sent, and how long the last data frame had waited.
  public var queueBytes: Int
  public var queueDelayMs: Double
  /// Data frames dropped because they waited too long, and because the queue was full.
  public var lateDrops: Int
  public var overflowDrops: Int

  public init(
    receivedFrames: Int, receivedBytes: Int, sentFrames: Int, sentBytes: Int, queueBytes: Int, queueDelayMs: Double,
    lateDrops: Int, overflowDrops: Int
  ) {
    self.receivedFrames = receivedFrames
    self.receivedBytes = receivedBytes
    self.sentFrames = sentFrames
    self.sentBytes = sentBytes
    self.queueBytes = queueBytes
    self.queueDelayMs = queueDelayMs
    self.lateDrops = lateDrops
    self.overflowDrops = overflowDrops
  }
}

public struct DeviceReport: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable {
    case joined
    case connecting
  }

  public var deviceId: String
  public var state: State
  public var interface: String
  public var address: String?
  public var network: String?
  public var relayAddress: String?
  public var server: String?
  public var roundTripMs: Double?
  /// How often it has joined since it started.
  public var joins: Int
  public var lastError: String?
  public var peers: Int
  public var packets: PacketReport
  public var link: LinkReport

  public init(
    deviceId: String, state: State, interface: String, address: String?, network: String?, relayAddress: String?,
    server: String?, roundTripMs: Double?, joins: Int, lastError: String?, peers: Int, packets: PacketReport,
    link: LinkReport
  ) {
    self.deviceId = deviceId
    self.state = state
    self.interface = interface
    self.address = address
    self.network = network
    self.relayAddress = relayAddress
    self.server = server
    self.roundTripMs = roundTripMs
    self.joins = joins
    self.lastError = lastError
    self.peers = peers
    self.packets = packets
    self.link = link
  }
}

/// Packets through the interface; a super-packet counts once.
public struct PacketReport: Codable, Sendable, Equatable {
  public var sent: Int
  public var received: Int
  /// Dropped, by cause: no valid packet, for nobody, from or for somebody else, too many broadcasts.
  public var malformed: Int
  public var unroutable: Int
  public var misaddressed: Int
  public var limited: Int

  public init(sent: Int, received: Int, malformed: Int, unroutable: Int, misaddressed: Int, limited: Int) {
    self.sent = sent
    self.received = received
    self.malformed = malformed
    self.unroutable = unroutable
    self.misaddressed = misaddressed
    self.limited = limited
  }
}

/// The answer to `peers`.
public struct PeersReport: Codable, Sendable, Equatable {
  public struct Member: Codable, Sendable, Equatable {
    public var address: String
    public var deviceId: String

    public init(address: String, deviceId: String) {
      self.address = address
      self.deviceId = deviceId
    }
  }

  public enum State: String, Codable, Sendable {
    /// The relay has a live session with it.
    case online
    /// This device has no connection to the relay, so it cannot tell.
    case unknown
  }

  public struct Peer: Codable, Sendable, Equatable {
    public var address: String
    public var deviceId: String
    public var state: State
    /// What only the relay knows: where the device connects from, since when, and the echo between them.
    public var outerAddress: String?
    public var connected: Double?
    public var roundTripMs: Double?

    public init(
      address: String, deviceId: String, state: State, outerAddress: String? = nil, connected: Double? = nil,
      roundTripMs: Double? = nil
    ) {
      self.address = address
      self.deviceId = deviceId
      self.state = state
      self.outerAddress = outerAddress
      self.connected = connected
      self.roundTripMs = roundTripMs
    }
  }

  public var version = 1
  public var network: String?
  /// The host that was asked, if it is a device.
  public var `self`: Member?
  public var peers: [Peer]

  public init(network: String?, `self` member: Member?, peers: [Peer]) {
    self.network = network
    self.`self` = member
    self.peers = peers
  }
}
