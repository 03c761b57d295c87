public import Link
public import SystemIO
public import Wire

/// How a device does, at one time.
public struct DeviceStatus: Sendable {
  public var deviceID: String
  public var interface: String
  public var isJoined: Bool
  /// The last lease, which stays configured while there is no uplink; `nil` before the first join, and while the interface has
  /// given its addresses up because the host's other networks have them.
  public var address: IPv4Address?
  /// The IPv6 address that goes with it; `nil` also where the network or this host has no IPv6.
  public var address6: IPv6Address?
  public var pool: IPv4Prefix?
  /// The network's IPv6 addresses, whether this host has IPv6 or not.
  public var pool6: IPv6Prefix?
  public var relayAddress: IPv4Address?
  /// Of the program that the relay ran when this device was in last, as it says.
  public var relayVersion: String?
  /// What the uplink is about, such as `looking up relay.example`.
  public var progress: String
  /// The server that was connected to last.
  public var server: String?
  /// The largest TCP segments of the present connection, in bytes, if it is limited because larger ones did not get
  /// through.
  public var segmentLimit: Int?
  /// The last echo between device and relay; `nil` if none was needed yet.
  public var roundTrip: Duration?
  /// How often it has joined since it started.
  public var joins: Int
  /// Since when it is in, if it is.
  public var joinedSince: Instant?
  /// The key that an operator of the relay has to approve, while this device waits for that.
  public var pendingKey: PublicKey?
  /// How often a connection to the relay, or an attempt to make one, came to its end, by `UplinkLoss.cause`.
  public var losses: [String: Int] = [:]
  /// Why the uplink was lost the last time, or the last attempt to have one failed, and when.
  public var lastLoss: String?
  /// Whether it was such an attempt.
  public var lastLossWasAttempt = false
  /// Whether that was an answer, of the relay or of this host, which trying again does not change.
  public var wasTurnedAway = false
  public var lostAt: Instant?
  /// Which other network of this host has addresses of the relay's network; `nil`: none.
  public var collision: String?
  /// What this device tells its peers of itself.
  public var orchestration: Orchestration
  /// The other devices, by address; in a large network those that this device deals with.
  public var peers: [PeerStatus]
  /// Whether it is such a network.
  public var isPartial: Bool
  public var counters: DeviceCounters
  /// Frames and bytes of the present connection.
  public var received: FrameConnection.Traffic
  public var sent: FrameConnection.Traffic
  public var queue: SendQueueStatistics
  /// What all connections have carried since the start.
  public var totals = LinkTotals()
  /// Where this device sits; `nil` before that is known.
  public var place: Orchestration.Place?
  /// Why the interface may lack addresses or routes now; `nil`: it has them.
  public var interfaceProblem: String?
}

/// What a device knows of a peer, at one time.
public struct PeerStatus: Sendable {
  public var peer: Peer
  /// The last echo between the two devices; `nil` if there was none yet.
  public var roundTrip: Duration?
  /// When the peer has last proved that it is there, by an answer that only it can give.
  public var lastProof: Instant?
  /// Whether the last echo was not answered in time.
  public var isSilent = false
  /// Whether it was there when the relay was lost, and is not back yet.
  public var isReturning = false
  /// Since when there is the sealed session that packets to it go by; `nil`: there is none now.
  public var sessionSince: Instant?
  /// Whether a handshake for one is under way.
  public var isShakingHands = false
  /// Why nothing is exchanged with the peer, if that is so.
  public var objection: String?
  /// What the peer has told of itself; `nil` while that is not known here.
  public var orchestration: Orchestration?

  public init(_ peer: Peer) {
    self.peer = peer
  }
}
