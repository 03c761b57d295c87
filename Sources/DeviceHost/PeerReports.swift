internal import CommandLine
public import Control
public import Device
internal import SystemIO
public import Wire

// What a device knows of its peers, as the tools get to see it; in both daemons alike.

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

  /// What is known of a peer of which the relay, or the device, has just heard.
  public init(at address: IPv4Address, _ deviceID: String, in pool6: IPv6Prefix?, state: PeersReport.State) {
    self.init(
      address: address.description, address6: pool6?.address(of: address).description, deviceId: deviceID,
      state: state)
    if state == .online || state == .silent { path = "relay" }
  }

  private static func state(_ status: PeerStatus, isJoined: Bool) -> PeersReport.State {
    if !isJoined || status.isReturning { return .unknown }
    if status.objection != nil { return .untrusted }
    return status.isSilent ? .silent : .online
  }

  /// Adds what the device has measured, and what the peer has told.
  private mutating func add(_ status: PeerStatus, at now: Instant) {
    roundTripMs = status.roundTrip?.milliseconds
    proofAge = status.lastProof.map { now.since($0).roundedSeconds }
    if let information = status.orchestration { add(information) }
  }

  /// Adds what a relay's own device knows of the peer to what the relay knows.
  public mutating func add(_ status: PeerStatus) {
    state = Self.state(status, isJoined: true)
    path = state == .untrusted ? nil : "relay"
    add(status, at: .now())
  }

  /// Adds what the peer tells of itself.
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
