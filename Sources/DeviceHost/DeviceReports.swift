internal import CommandLine
public import Control
public import Device
public import Link
internal import SystemIO
public import Wire

// Reports of a device's state, for both daemons.

extension DeviceReport {
  public init(_ status: DeviceStatus, _ names: NamesReport) {
    self.init(
      deviceId: status.deviceID, state: status.isJoined ? .joined : .connecting, progress: status.progress,
      interface: status.interface, interfaceProblem: status.interfaceProblem, address: status.address?.description,
      address6: status.address6?.description,
      network: status.pool?.description, relayAddress: status.relayAddress?.description, server: status.server,
      roundTripMs: status.roundTrip.map(\.milliseconds), joins: status.joins, lastError: status.lastLoss,
      place: status.location, peers: status.peers.count, packets: PacketReport(status.counters),
      peerLinks: PeerLinksReport(status.counters.links),
      link: LinkReport(received: status.received, sent: status.sent, queue: status.queue))
    collision = status.collision
    self.names = names
  }
}

extension PacketReport {
  fileprivate init(_ counters: DeviceCounters) {
    self.init()
    (sent, received) = (counters.sent, counters.received)
    (malformed, unroutable, misaddressed) = (counters.malformed, counters.unroutable, counters.misaddressed)
    (limited, overdue, early) = (counters.limited, counters.overdue, counters.early)
  }
}

extension PeerLinksReport {
  fileprivate init(_ counters: PeerLinkCounters) {
    self.init()
    (initiations, answers, sessions) = (counters.initiations, counters.answers, counters.sessions)
    (forged, replayed, unknownSession) = (counters.forged, counters.replayed, counters.unknownSession)
    (limited, refused) = (counters.limited, counters.refused)
  }
}

extension LinkReport {
  public init(received: FrameConnection.Traffic, sent: FrameConnection.Traffic, queue: SendQueueStatistics) {
    self.init(
      receivedFrames: received.frames, receivedBytes: received.bytes, sentFrames: sent.frames, sentBytes: sent.bytes,
      queueBytes: queue.bytes, queueDelayMs: queue.delay.milliseconds, lateDrops: queue.lateDrops,
      overflowDrops: queue.overflowDrops)
  }
}

// Reports of peers.

extension PeersReport {
  public init(_ status: DeviceStatus) {
    let now = Instant.now()
    self.init(
      network: status.pool?.description,
      relayAddress: status.relayAddress?.description,
      self: Self.own(status),
      complete: !status.isPartial,
      peers: status.peers.map { Peer($0, in: status.pool6, isJoined: status.isJoined, at: now) })
    collision = status.collision
    if !status.isJoined { disconnected = Self.disconnected(status) }
  }

  private static func disconnected(_ status: DeviceStatus) -> String {
    let loss = status.lastLoss.map { loss in
      let age = status.lostAt.map { " (\(Int(Instant.now().since($0).seconds)) s ago)" } ?? ""
      return "; last error\(age): \(loss)"
    }
    return "\(status.progress)\(loss ?? "")"
  }

  /// The device itself; `nil` while it has no address.
  public static func own(_ status: DeviceStatus) -> Peer? {
    guard let address = status.address else { return nil }
    var own = Peer(
      address: address.description, address6: status.address6?.description, deviceId: status.deviceID,
      state: status.isJoined ? .online : .unknown)
    own.add(status.orchestration)
    return own
  }
}

extension PeersReport.Peer {
  fileprivate init(_ status: PeerStatus, in pool6: IPv6Prefix?, isJoined: Bool, at now: Instant) {
    self.init(
      at: status.peer.address, status.peer.deviceID, in: pool6, state: Self.state(status, isJoined: isJoined))
    add(status, at: now)
  }

  /// A peer that the relay or the device has just announced.
  public init(at address: IPv4Address, _ deviceID: String, in pool6: IPv6Prefix?, state: PeersReport.State) {
    self.init(
      address: address.description, address6: pool6?.address(of: address).description, deviceId: deviceID,
      state: state)
    if state == .online || state == .silent { path = "relay" }
  }

  private static func state(_ status: PeerStatus, isJoined: Bool) -> PeersReport.State {
    if status.directRemote == nil, !isJoined || status.isReturning { return .unknown }
    if status.objection != nil { return .untrusted }
    return status.isSilent ? .silent : .online
  }

  /// Adds the device's measurements and the peer's own information.
  private mutating func add(_ status: PeerStatus, at now: Instant) {
    if let other = status.directRemote { (path, remote) = ("tcp", other.description) }
    roundTripMs = status.roundTrip?.milliseconds
    proofAge = status.lastProof.map { now.since($0).roundedSeconds }
    if let information = status.orchestration { add(information) }
  }

  /// Adds the knowledge of the relay's own device to that of the relay.
  public mutating func add(_ status: PeerStatus) {
    state = Self.state(status, isJoined: true)
    path = state == .untrusted ? nil : "relay"
    add(status, at: .now())
  }

  /// Adds the peer's own information.
  public mutating func add(_ information: Orchestration) {
    revision = information.revision
    hostName = information.hostName
    platform = information.platform
    executionType = information.executionType
    services = information.services
    labels = information.labels
    load = information.load
    place = information.place
  }
}
