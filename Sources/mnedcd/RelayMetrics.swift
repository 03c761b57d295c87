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
    gauge("mnedc_relay_sessions", "Connected devices, without the relay's host.", Double(status.online))
    gauge("mnedc_relay_capacity", "Devices that can be connected at once.", Double(status.capacity))
    gauge("mnedc_relay_joining", "Connections that have not joined.", Double(status.joining))
    gauge("mnedc_relay_pending", "Devices that wait for an operator to admit them.", Double(pending))
    gauge(
      "mnedc_relay_draining", "Whether the relay is draining: 1, or 0.",
      status.isDraining ? 1 : 0)
    counter("mnedc_relay_joins", "Joins, those of the relay's host included.", Double(counters.joins))
    counter("mnedc_relay_leaves", "Devices that have left or were lost.", Double(counters.leaves))
    counter(
      "mnedc_relay_refusals", "Refused join requests, by code.",
      counters.refused.sorted { $0.key < $1.key }.map { Sample(Double($0.value), ["code": $0.key]) })
    counter(
      "mnedc_relay_bad_connections",
      "Connections closed because of a frame that was not authentic or malformed, by cause.",
      [Sample](by: "cause", ["not-authentic": counters.notAuthentic, "malformed": counters.malformed]))
  }

  private mutating func addTraffic(_ status: RelayStatus) {
    let (received, sent) = (status.totals.received, status.totals.sent)
    counter(
      "mnedc_relay_frames_forwarded", "Data frames forwarded, including those that a queue then dropped.",
      Double(status.forwarded.frames))
    counter(
      "mnedc_relay_forwarded_bytes", unit: "bytes", "Bytes of these frames, with their headers.",
      Double(status.forwarded.bytes))
    counter("mnedc_relay_frames_unreachable", "Data frames for addresses without a device.", Double(status.unreachable))
    counter("mnedc_relay_received_frames", "Frames received from connected devices.", Double(received.frames))
    counter(
      "mnedc_relay_received_bytes", unit: "bytes", "Bytes received from connected devices.", Double(received.bytes))
    counter(
      "mnedc_relay_sent_frames", "Frames for devices, including those that a queue dropped.", Double(sent.frames))
    counter("mnedc_relay_sent_bytes", unit: "bytes", "Bytes sent to devices.", Double(sent.bytes))
    gauge(
      "mnedc_relay_queue_memory_bytes", unit: "bytes", "Memory of all send queues together.", Double(status.sendMemory))
    gauge(
      "mnedc_relay_queue_memory_limit_bytes", unit: "bytes", "Memory limit of all send queues together (relay.memory).",
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
      "Queueing delay of the latest data frame to that device. \(bound)",
      samples { $0.queue.delay.seconds })
    gauge(
      "mnedc_relay_session_round_trip_seconds", unit: "seconds", "The last echo between relay and device. \(bound)",
      samples { $0.roundTrip?.seconds })
  }
}
