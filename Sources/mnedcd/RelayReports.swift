import Admission
import CommandLine
import Control
import DaemonKit
import Device
import DeviceHost
import Explain
import Noise
import Relay
import Store
import SystemIO
import Wire

/// The relay's state for the tools.
enum RelayReports {
  static func status(
    _ daemon: Daemon, _ relay: Relay, _ host: HostDevice?,
    _ reply: @escaping @Sendable (StatusReport) -> Void
  ) {
    let report = daemon.statusReport(.relay)
    let listen = relay.addresses.map(\.description)
    let own = host.map { ($0.device, $0.names.report) }
    relay.status(on: daemon.events) { status in
      var report = report
      report.relay = RelayReport(status, relay, listen: listen)
      guard let (device, names) = own else { return reply(report) }
      device.status { [report] status in
        var report = report
        report.device = DeviceReport(status, names)
        reply(report)
      }
    }
  }

  /// The relay's peers, with the knowledge of its own device.
  static func peers(_ status: RelayStatus, _ device: DeviceStatus?) -> PeersReport {
    let known = Dictionary((device?.peers ?? []).map { ($0.peer.address, $0) }) { first, _ in first }
    let now = Instant.now()
    var report = PeersReport(
      network: status.pool.description,
      relayAddress: status.address.description,
      self: device.flatMap { PeersReport.own($0) },
      complete: true,
      peers: status.sessions.filter { $0.address != status.address }.map { session in
        var peer = PeersReport.Peer(at: session.address, session.deviceID, in: status.pool6, state: .online)
        peer.outerAddress = session.outerAddress
        peer.connected = now.since(session.since).roundedSeconds
        peer.relayRoundTripMs = session.roundTrip.map(\.milliseconds)
        if let more = known[session.address], more.peer.deviceID == session.deviceID { peer.add(more) }
        return peer
      })
    report.collision = device?.collision
    return report
  }
}

extension RelayReport {
  fileprivate init(_ status: RelayStatus, _ relay: Relay, listen: [String]) {
    let now = Instant.now()
    self.init(
      listen: listen, pool: status.pool.description, pool6: status.pool6?.description,
      address: status.address.description, fingerprint: relay.publicKey.fingerprint,
      admission: relay.settings.reloadable.admission.rawValue, draining: status.isDraining, online: status.online,
      capacity: status.capacity, pending: relay.pending.count, joining: status.joining,
      unreachableFrames: status.unreachable, queueMemory: status.sendMemory,
      refused: status.counters.refused.sorted { $0.key < $1.key }.map { RefusedReport(code: $0.key, count: $0.value) },
      notAuthentic: status.counters.notAuthentic, malformed: status.counters.malformed,
      sessions: status.sessions.map { SessionReport($0, at: now) })
  }
}

extension SessionReport {
  init(_ session: SessionStatus, at now: Instant) {
    self.init(
      address: session.address.description, deviceId: session.deviceID, outerAddress: session.outerAddress,
      connected: now.since(session.since).roundedSeconds, silent: now.since(session.lastReceived).roundedSeconds,
      roundTripMs: session.roundTrip.map(\.milliseconds),
      link: LinkReport(received: session.received, sent: session.sent, queue: session.queue))
  }
}

extension RelayReports {
  /// The relay's knowledge of a device by ID or label, connected or not; on the main thread.
  static func recall(
    _ name: String, _ daemon: Daemon, _ relay: Relay, _ reply: @escaping (PathFacts.Memory, SessionReport?) -> Void
  ) {
    let reply = LoopBound(reply)
    let label = HostLabel.label(of: name)
    @Sendable func isMeant(_ id: String) -> Bool { id == name || HostLabel.label(of: id) == label }
    let isPending = relay.pending.contains { isMeant($0.deviceID) }
    let denied = relay.denied.filter { isMeant($0.deviceID) }.map(\.refusedFor).max()
    relay.status(on: daemon.events) { [daemon] status in
      let now = Instant.now()
      let session = status.sessions.first { $0.deviceID == name }.map { SessionReport($0, at: now) }
      relay.devices { result in
        let records = (try? result.get()) ?? []
        // Another device may have the ID of a revoked one.
        let meant = records.filter { isMeant($0.id) }
        let time = UnixTime.now()
        let memory: PathFacts.Memory =
          if let active = meant.first(where: { $0.status == .active }) {
            .seen(Double(max(0, time - active.lastSeen)))
          } else if isPending {
            .pending
          } else if let denied {
            .denied(denied.roundedSeconds)
          } else {
            meant.isEmpty ? .stranger : .revoked
          }
        daemon.events.post { reply.value(memory, session) }
      }
    }
  }
}
