public import Wire

// The reports are what daemons answer and tools print with --json. The JSON's keys are the property names in
// snake_case. Times are in seconds unless the name says otherwise. Members that are not known are absent.

/// The answer to `status`.
public struct StatusReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// `mnedcd` or `mnedc-join`.
  public var program: String
  public var programVersion: String
  public var processId: Int
  public var uptime: Double
  /// The daemon's role; a relay's host may be a device as well.
  public var role: KeyReport.Role
  /// The daemon logs messages of this level and above.
  public var logLevel: String
  /// The last log lines of level warning and above, the newest last.
  public var lastErrors: [LogLineReport] = []
  /// The relay's part, if the daemon is one.
  public var relay: RelayReport?
  /// The device's part, if the daemon is one (a relay's host is a device too).
  public var device: DeviceReport?

  public init(
    program: String, programVersion: String, processId: Int, uptime: Double, role: KeyReport.Role, logLevel: String
  ) {
    self.role = role
    self.logLevel = logLevel
    self.program = program
    self.programVersion = programVersion
    self.processId = processId
    self.uptime = uptime
  }
}

public struct RelayReport: Codable, Sendable, Equatable {
  public var listen: [String]
  public var pool: String
  /// The IPv6 pool, if leases have IPv6 addresses.
  public var pool6: String?
  public var address: String
  /// The fingerprint of the relay's public key.
  public var fingerprint: String
  /// `invite`, `approve` or `open`.
  public var admission: String
  /// Whether the relay delivers queued packets before it ends.
  public var draining: Bool
  /// Connected devices without the relay's host, and the most there can be.
  public var online: Int
  public var capacity: Int
  /// Devices that wait for an operator's approval.
  public var pending: Int
  /// Connections that have not joined yet, including those of pending devices.
  public var joining: Int
  /// Data frames for addresses that no device has.
  public var unreachableFrames: Int
  /// Memory of all send queues together, in bytes.
  public var queueMemory: Int
  /// Counts of refused devices by reason.
  public var refused: [RefusedReport]
  /// Connections closed because of a frame that failed authentication, and of a malformed frame.
  public var notAuthentic: Int
  public var malformed: Int
  public var sessions: [SessionReport]

  public init(
    listen: [String], pool: String, pool6: String?, address: String, fingerprint: String, admission: String,
    draining: Bool, online: Int, capacity: Int, pending: Int, joining: Int, unreachableFrames: Int, queueMemory: Int,
    refused: [RefusedReport], notAuthentic: Int, malformed: Int, sessions: [SessionReport]
  ) {
    self.listen = listen
    self.pool = pool
    self.pool6 = pool6
    self.address = address
    self.fingerprint = fingerprint
    self.admission = admission
    self.draining = draining
    self.online = online
    self.capacity = capacity
    self.pending = pending
    self.joining = joining
    self.unreachableFrames = unreachableFrames
    self.queueMemory = queueMemory
    self.refused = refused
    self.notAuthentic = notAuthentic
    self.malformed = malformed
    self.sessions = sessions
  }
}

/// How often the relay refused devices for one reason.
public struct RefusedReport: Codable, Sendable, Equatable {
  /// A code of the protocol, such as `invite-unknown`.
  public var code: String
  public var count: Int

  public init(code: String, count: Int) {
    self.code = code
    self.count = count
  }
}

public struct SessionReport: Codable, Sendable, Equatable {
  public var address: String
  public var deviceId: String
  /// Where the device connects from, as the relay sees it.
  public var outerAddress: String
  public var connected: Double
  /// Time since the relay last received a frame of the device.
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
  /// The send queue's size, and how long the last data frame waited in it.
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
  /// What the uplink does at the moment, for people.
  public var progress: String
  public var interface: String
  /// What is wrong with the interface, for people.
  public var interfaceProblem: String?
  public var address: String?
  public var address6: String?
  public var network: String?
  public var relayAddress: String?
  public var server: String?
  public var roundTripMs: Double?
  /// How often the device has joined since it started.
  public var joins: Int
  public var lastError: String?
  /// The other network of this host whose addresses overlap with this one's, and which; absent if none does.
  public var collision: String?
  public var place: Orchestration.Location?
  /// How the names of devices resolve on this host.
  public var names: NamesReport?
  public var peers: Int
  public var packets: PacketReport
  public var peerLinks: PeerLinksReport
  public var link: LinkReport

  public init(
    deviceId: String, state: State, progress: String, interface: String, interfaceProblem: String? = nil,
    address: String?, address6: String? = nil,
    network: String?, relayAddress: String?, server: String?, roundTripMs: Double?, joins: Int, lastError: String?,
    place: Orchestration.Location?, peers: Int, packets: PacketReport, peerLinks: PeerLinksReport, link: LinkReport
  ) {
    self.deviceId = deviceId
    self.state = state
    self.progress = progress
    self.interface = interface
    self.interfaceProblem = interfaceProblem
    self.address = address
    self.address6 = address6
    self.network = network
    self.relayAddress = relayAddress
    self.server = server
    self.roundTripMs = roundTripMs
    self.joins = joins
    self.lastError = lastError
    self.place = place
    self.peers = peers
    self.packets = packets
    self.peerLinks = peerLinks
    self.link = link
  }
}

/// Packets through the interface; a super-packet counts once.
public struct PacketReport: Codable, Sendable, Equatable {
  public var sent = 0
  public var received = 0
  // Dropped packets, by cause: invalid; no peer has the address; source or destination of another device; too many
  // broadcasts; too many waited for a session with their peer; the queues on the path to their peer were too long.
  public var malformed = 0
  public var unroutable = 0
  public var misaddressed = 0
  public var limited = 0
  public var overdue = 0
  public var early = 0

  public init() {}
}

/// The sealed sessions with peers.
public struct PeerLinksReport: Codable, Sendable, Equatable {
  // Handshakes begun and answered, and sessions made.
  public var initiations = 0
  public var answers = 0
  public var sessions = 0
  // Dropped messages, by cause: failed authentication; came twice or too late; no such session; too many handshakes;
  // the peer's key is wrong or there is no common cipher.
  public var forged = 0
  public var replayed = 0
  public var unknownSession = 0
  public var limited = 0
  public var refused = 0

  public init() {}
}
