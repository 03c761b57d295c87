import Admission
import CommandLine
import Control
import DaemonKit
import Explain
import Relay
import Store
import SystemIO
import Wire

extension RelayReports {
  /// What the relay knows of a device by its ID or its label, in or not; on the main thread.
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
        // An ID that was revoked may be another device's by now.
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
