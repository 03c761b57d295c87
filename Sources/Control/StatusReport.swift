public import Wire

// What the daemons answer, and what the tools print with --json: the property names, in snake_case, are the JSON's keys.
// Times are in seconds unless the name says otherwise; absent members are not known.

/// The answer to `status`.
public struct StatusReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// `mnedcd` or `mnedc-join`.
  public var program: String
  public var programVersion: String
  public var processId: Int
  public var uptime: Double
  /// What the daemon is in the first place; a relay's host may be a device as well.
  public var role: KeyReport.Role
  /// What is of this level and worse is logged.
  public var logLevel: String
  /// The last lines of its log of the level warning and worse, the newest last.
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
  /// Where the leases' IPv6 addresses are, if they have any.
  public var pool6: String?
  public var address: String
  /// Of the relay's public key.
  public var fingerprint: String
  /// `invite`, `approve` or `open`.
  public var admission: String
  /// Whether it lets what is under way arrive before it ends.
  public var draining: Bool
  /// Devices that are in, without the relay's host, and how many can be.
  public var online: Int
  public var capacity: Int
  /// Devices that wait for an operator.
  public var pending: Int
  /// Connections that have not joined yet, those that wait for an operator among them.
  public var joining: Int
  /// Data frames for addresses that nobody has.
  public var unreachableFrames: Int
  /// Memory of all send queues together, in bytes.
  public var queueMemory: Int
  /// Devices that were not let in, by why.
  public var refused: [RefusedReport]
  /// Connections closed because of a frame that did not open, and of one that made no sense.
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

/// How often devices were refused for one reason.
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
  /// What the uplink is about, for people.
  public var progress: String
  public var interface: String
  /// Why the interface is not always as it should be, if that is so.
  public var interfaceProblem: String?
  public var address: String?
  public var address6: String?
  public var network: String?
  public var relayAddress: String?
  public var server: String?
  public var roundTripMs: Double?
  /// How often it has joined since it started.
  public var joins: Int
  public var lastError: String?
  /// Which other network of this host has addresses of this one, and which addresses; absent: none has.
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
  public var sent: Int
  public var received: Int
  /// Dropped, by cause: no valid packet, for nobody, from or for somebody else, too many broadcasts, too many that waited
  /// for a session with their peer, too much that stood on the way to it.
  public var malformed: Int
  public var unroutable: Int
  public var misaddressed: Int
  public var limited: Int
  public var overdue: Int
  public var early: Int

  public init(
    sent: Int, received: Int, malformed: Int, unroutable: Int, misaddressed: Int, limited: Int, overdue: Int,
    early: Int
  ) {
    self.sent = sent
    self.received = received
    self.malformed = malformed
    self.unroutable = unroutable
    self.misaddressed = misaddressed
    self.limited = limited
    self.overdue = overdue
    self.early = early
  }
}

/// The sealed sessions with peers.
public struct PeerLinksReport: Codable, Sendable, Equatable {
  /// Handshakes begun and answered, and sessions that came of them.
  public var initiations: Int
  public var answers: Int
  public var sessions: Int
  /// Dropped, by cause: it does not open, it came twice or too late, its session is not there, too many handshakes, a peer
  /// with a key that it must not have or with no cipher in common.
  public var forged: Int
  public var replayed: Int
  public var unknownSession: Int
  public var limited: Int
  public var refused: Int

  public init(
    initiations: Int, answers: Int, sessions: Int, forged: Int, replayed: Int, unknownSession: Int, limited: Int,
    refused: Int
  ) {
    self.initiations = initiations
    self.answers = answers
    self.sessions = sessions
    self.forged = forged
    self.replayed = replayed
    self.unknownSession = unknownSession
    self.limited = limited
    self.refused = refused
  }
}
