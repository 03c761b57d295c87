public import Link
public import SystemIO
internal import Tun
public import Wire

/// A device's state at one time.
public struct DeviceStatus: Sendable {
  public var deviceID: String
  public var interface: String
  public var isJoined: Bool
  /// The last lease, also while there is no connection; `nil` before the first join, and while the interface has given
  /// its addresses up to other networks of this host.
  public var address: IPv4Address?
  /// `nil` also where the network or this host has no IPv6.
  public var address6: IPv6Address?
  public var pool: IPv4Prefix?
  /// The network's IPv6 addresses, whether this host has IPv6 or not.
  public var pool6: IPv6Prefix?
  public var relayAddress: IPv4Address?
  /// The version of the relay's program, as the relay last told it.
  public var relayVersion: String?
  /// What the uplink does, such as `looking up relay.example`.
  public var progress: String
  /// The server that was last connected to.
  public var server: String?
  /// The largest TCP segments of the connection, in bytes, if it is limited because larger ones get lost.
  public var segmentLimit: Int?
  /// The last echo between device and relay; `nil` if none was needed yet.
  public var roundTrip: Duration?
  public var joins: Int
  public var joinedSince: Instant?
  /// The key that an operator of the relay has to approve, while this device waits for that.
  public var pendingKey: PublicKey?
  /// Connections and attempts that ended, by `UplinkLoss.cause`.
  public var losses: [String: Int]
  /// Why and when the last connection or attempt ended.
  public var lastLoss: String?
  public var lostAt: Instant?
  /// Whether that was an attempt.
  public var lastLossWasAttempt: Bool
  /// Whether the relay or this host refused, so that another attempt alone does not help.
  public var wasTurnedAway: Bool
  /// Which other network of this host has addresses of the relay's network; `nil`: none.
  public var collision: String?
  public var orchestration: Orchestration
  /// The other devices, by address; in a large network only those that this device deals with.
  public var peers: [PeerStatus]
  public var isPartial: Bool
  public var counters: DeviceCounters
  /// Frames and bytes of the present connection.
  public var received: FrameConnection.Traffic
  public var sent: FrameConnection.Traffic
  public var queue: SendQueueStatistics
  /// The traffic of all connections since the start.
  public var totals: LinkTotals
  /// The device's location in the tree of routers; `nil` before it is known.
  public var location: Orchestration.Location?
  /// Why the interface may lack addresses or routes; `nil`: it has them.
  public var interfaceProblem: String?
}

/// What a device knows of a peer at one time.
public struct PeerStatus: Sendable {
  public var peer: Peer
  /// The other end of the direct path that packets to the peer take; `nil`: they go by way of the relay.
  public var directRemote: SocketAddress?
  /// The last echo between the two devices; `nil` if there was none yet.
  public var roundTrip: Duration?
  /// When the peer last gave an answer that only it can give.
  public var lastProof: Instant?
  /// Whether the last echo was not answered in time.
  public var isSilent = false
  /// Whether it was there before the connection to the relay was lost, and is not back yet.
  public var isReturning = false
  /// When the present session began; `nil`: there is none.
  public var sessionSince: Instant?
  public var isShakingHands = false
  /// Why nothing is exchanged with the peer, if that is so.
  public var objection: String?
  public var orchestration: Orchestration?

  public init(_ peer: Peer) {
    self.peer = peer
  }
}

/// What became of a device's packets.
public struct DeviceCounters: Sendable, Equatable {
  /// Packets from the TUN to peers, and from peers to the TUN. A super-packet, or each part of a divided one, counts
  /// once.
  public var sent = 0
  public var received = 0
  /// Dropped: no valid packet.
  public var malformed = 0
  /// Dropped: for an address that no device has, or outside the network.
  public var unroutable = 0
  /// Dropped: from a peer, but not from its address or not for this device.
  public var misaddressed = 0
  /// Dropped: broadcast or multicast beyond the limit.
  public var limited = 0
  /// Dropped: too many waited for a session with their peer.
  public var overdue = 0
  /// Dropped: super-packets, because the queues on the path to their peer were too long.
  public var early = 0
  public var links = PeerLinkCounters()
  public var messages = PeerMessageCounters()
}

/// The sessions with all peers.
public struct PeerLinkCounters: Sendable, Equatable {
  /// Handshakes begun and answered, and the sessions that followed.
  public var initiations = 0
  public var answers = 0
  public var sessions = 0
  /// Dropped: does not open, or is malformed.
  public var forged = 0
  /// Dropped: came twice, or too late to tell.
  public var replayed = 0
  /// Dropped: of a session that this device does not have.
  public var unknownSession = 0
  /// Handshakes not answered because too many came.
  public var limited = 0
  /// Peers or initiations refused: a key that is not the pinned one, or no cipher in common.
  public var refused = 0
}

/// The messages exchanged with all peers.
public struct PeerMessageCounters: Sendable, Equatable {
  public var received = 0
  public var sent = 0
  /// Dropped: too long, malformed, or implausible.
  public var refused = 0
  /// Dropped or not answered: beyond a limit.
  public var limited = 0
}

extension Device {
  /// On the device's thread.
  var currentStatus: DeviceStatus {
    let connection = uplink.connection
    let membership = neighbourhood.membership
    var counters = pump.counters
    counters.messages = exchange.counters
    let sent = connection?.sendStatistics
    return DeviceStatus(
      deviceID: settings.deviceID, interface: tun.name, isJoined: connection != nil, address: membership?.address,
      address6: membership?.address6, pool: membership?.pool, pool6: membership?.pool6,
      relayAddress: membership?.relayAddress, relayVersion: uplink.relayVersion, progress: uplink.progress,
      server: uplink.server, segmentLimit: connection == nil ? nil : uplink.segmentLimit, roundTrip: uplink.roundTrip,
      joins: joins, joinedSince: uplink.joinedSince, pendingKey: uplink.pendingKey, losses: losses.counts,
      lastLoss: losses.last?.description, lostAt: losses.lastTime, lastLossWasAttempt: losses.lastWasAttempt,
      wasTurnedAway: losses.last?.isTurnedAway ?? false, collision: currentCollision?.description,
      orchestration: exchange.own, peers: peerStatuses, isPartial: neighbourhood.isPartial, counters: counters,
      received: connection?.received ?? FrameConnection.Traffic(), sent: sent?.traffic ?? FrameConnection.Traffic(),
      queue: sent?.queue ?? SendQueueStatistics(), totals: uplink.totals, location: locator.location,
      interfaceProblem: keeper.problem?.description)
  }

  /// The listed peers, and those that may return.
  private var peerStatuses: [PeerStatus] {
    let listed = neighbourhood.listed.map { status(of: $0) }
    let absent = neighbourhood.returning.values.filter { neighbourhood.listed($0.address) == nil }.map { state in
      var status = status(of: state)
      status.isReturning = true
      return status
    }
    return (listed + absent).sorted { $0.peer.address < $1.peer.address }
  }

  private func status(of state: PeerState) -> PeerStatus {
    var status = PeerStatus(state.peer)
    status.objection = links.objection(to: state.peer)
    if state.isListed {
      status.sessionSince = state.link?.current?.since
      status.isShakingHands = state.link?.attempt != nil
    }
    status.directRemote = state.path.remote
    guard let record = state.record else { return status }
    status.roundTrip = record.path.roundTrip
    status.lastProof = record.path.lastProof
    status.isSilent = record.path.isSilent
    status.orchestration = record.orchestration
    return status
  }
}
