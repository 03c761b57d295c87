import Control
import DeviceHost
import Link
import Relay
import SystemIO

extension MetricsReport {
  /// `peerLimit`: up to how many devices each has series of its own.
  init(_ status: RelayStatus, pending: Int, peerLimit: Int) {
    self.init()
    addDevices(status, pending: pending)
    addTraffic(status)
    addSessions(status.sessions.count <= peerLimit ? status.sessions.uniqued(\.deviceID) : [])
    addQueue(
      "relay", bytes: status.sessions.reduce(0) { $0 + $1.queue.bytes },
      delay: status.sessions.map(\.queue.delay).max()?.seconds ?? 0, late: status.totals.lateDrops,
      overflow: status.totals.overflowDrops)
  }

  private mutating func addDevices(_ status: RelayStatus, pending: Int) {
    let counters = status.counters
    gauge("mnedc_relay_sessions", "Devices that are in; the relay's host is not counted.", Double(status.online))
    gauge("mnedc_relay_capacity", "Devices that can be in at once.", Double(status.capacity))
    gauge("mnedc_relay_joining", "Connections that have not joined, or not yet.", Double(status.joining))
    gauge("mnedc_relay_pending", "Devices that wait for an operator to let them in.", Double(pending))
    gauge(
      "mnedc_relay_draining", "Whether the relay lets what is under way arrive before it ends: 1, or 0.",
      status.isDraining ? 1 : 0)
    counter("mnedc_relay_joins", "Devices that were let in, the relay's host among them.", Double(counters.joins))
    counter("mnedc_relay_leaves", "Devices that have left or were lost.", Double(counters.leaves))
    counter(
      "mnedc_relay_refusals", "Devices that were not let in, by the code that they were told.",
      counters.refused.sorted { $0.key < $1.key }.map { Sample(Double($0.value), ["code": $0.key]) })
    counter(
      "mnedc_relay_bad_connections",
      "Connections closed because of what came: a frame that did not open, or one that made no sense.",
      [Sample](by: "cause", ["not-authentic": counters.notAuthentic, "malformed": counters.malformed]))
  }

  private mutating func addTraffic(_ status: RelayStatus) {
    let (received, sent) = (status.totals.received, status.totals.sent)
    counter(
      "mnedc_relay_frames_forwarded", "Data frames that were handed on, those among them that a queue then dropped.",
      Double(status.forwarded.frames))
    counter(
      "mnedc_relay_forwarded_bytes", unit: "bytes", "Bytes of these frames, with their headers.",
      Double(status.forwarded.bytes))
    counter("mnedc_relay_frames_unreachable", "Data frames for addresses that nobody had.", Double(status.unreachable))
    counter("mnedc_relay_received_frames", "Frames that came from devices that were in.", Double(received.frames))
    counter(
      "mnedc_relay_received_bytes", unit: "bytes", "Bytes that came from devices that were in.", Double(received.bytes))
    counter(
      "mnedc_relay_sent_frames", "Frames for devices, those among them that a queue dropped.", Double(sent.frames))
    counter("mnedc_relay_sent_bytes", unit: "bytes", "Bytes that were sent to devices.", Double(sent.bytes))
    gauge(
      "mnedc_relay_queue_memory_bytes", unit: "bytes", "Memory of all send queues together.", Double(status.sendMemory))
    gauge(
      "mnedc_relay_queue_memory_limit_bytes", unit: "bytes", "What the send queues may have together (relay.memory).",
      Double(status.sendMemoryLimit))
  }

  private mutating func addSessions(_ sessions: [SessionStatus]) {
    func samples(_ value: (SessionStatus) -> Double?) -> [Sample] {
      sessions.compactMap { session in value(session).map { Sample($0, ["device_id": session.deviceID]) } }
    }
    let bound = "Up to metrics.peer-limit devices only."
    counter(
      "mnedc_relay_session_received_bytes", unit: "bytes", "Bytes from that device in its present session. \(bound)",
      samples { Double($0.received.bytes) })
    counter(
      "mnedc_relay_session_sent_bytes", unit: "bytes", "Bytes to that device in its present session. \(bound)",
      samples { Double($0.sent.bytes) })
    counter(
      "mnedc_relay_session_drops", "Data frames to that device that its queue dropped in its present session. \(bound)",
      samples { Double($0.queue.lateDrops + $0.queue.overflowDrops) })
    gauge(
      "mnedc_relay_session_queue_bytes", unit: "bytes", "Bytes that wait for that device. \(bound)",
      samples { Double($0.queue.bytes) })
    gauge(
      "mnedc_relay_session_queue_delay_seconds", unit: "seconds",
      "How long the data frame to that device that left its queue last had waited. \(bound)",
      samples { $0.queue.delay.seconds })
    gauge(
      "mnedc_relay_session_round_trip_seconds", unit: "seconds", "The last echo between relay and device. \(bound)",
      samples { $0.roundTrip?.seconds })
  }
}
