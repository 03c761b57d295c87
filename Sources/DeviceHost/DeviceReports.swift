internal import CommandLine
public import Control
public import Device
public import Link
internal import SystemIO
internal import Wire

// Both daemons can be devices, so both report as one.

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
    self.init(
      sent: counters.sent, received: counters.received, malformed: counters.malformed,
      unroutable: counters.unroutable, misaddressed: counters.misaddressed, limited: counters.limited,
      overdue: counters.overdue, early: counters.early)
  }
}

extension PeerLinksReport {
  fileprivate init(_ counters: PeerLinkCounters) {
    self.init(
      initiations: counters.initiations, answers: counters.answers, sessions: counters.sessions,
      forged: counters.forged, replayed: counters.replayed, unknownSession: counters.unknownSession,
      limited: counters.limited, refused: counters.refused)
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
