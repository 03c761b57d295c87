// Metrics come from the snapshots that `status` shows, on the main thread. Metrics per device or peer are limited by
// `metrics.peer-limit`, so a scrape does not grow with the network. Ended sessions stay in the totals, which never
// fall.

public import Control
public import Device
internal import Link
internal import SystemIO
internal import Wire

extension MetricsReport {
  /// `peerLimit`: up to how many peers each has series of its own.
  public init(_ status: DeviceStatus, peerLimit: Int) {
    self.init()
    addUplink(status)
    addPackets(status.counters)
    addPeerSessions(status.counters.links)
    addPeers(status.peers.count <= peerLimit ? status.peers : [])
    addQueue(
      "uplink", bytes: status.queue.bytes, delay: status.queue.delay.seconds, late: status.totals.lateDrops,
      overflow: status.totals.overflowDrops)
  }

  private mutating func addUplink(_ status: DeviceStatus) {
    gauge("mnedc_device_joined", "Whether the device is connected to the relay: 1, or 0.", status.isJoined ? 1 : 0)
    counter("mnedc_device_joins", "Times that the device has joined.", Double(status.joins))
    counter(
      "mnedc_device_connection_losses",
      "Ended connections and failed attempts to connect to the relay, by cause.",
      UplinkLoss.causes.map { Sample(Double(status.losses[$0] ?? 0), ["cause": $0]) })
    gauge(
      "mnedc_device_round_trip_seconds", unit: "seconds", "The last echo between the device and the relay.",
      status.roundTrip?.seconds)
    gauge(
      "mnedc_device_peers", "Known peers; in a large network, those that this device communicates with.",
      Double(status.peers.count))
    let (received, sent) = (status.totals.received, status.totals.sent)
    counter("mnedc_uplink_received_frames", "Frames received from the relay.", Double(received.frames))
    counter("mnedc_uplink_received_bytes", unit: "bytes", "Bytes received from the relay.", Double(received.bytes))
    counter(
      "mnedc_uplink_sent_frames", "Frames for the relay, including those that the queue dropped.", Double(sent.frames))
    counter("mnedc_uplink_sent_bytes", unit: "bytes", "Bytes sent to the relay.", Double(sent.bytes))
  }

  private mutating func addPackets(_ counters: DeviceCounters) {
    counter(
      "mnedc_device_sent_packets", "Packets from the interface to other devices; a super-packet counts once.",
      Double(counters.sent))
    counter(
      "mnedc_device_received_packets", "Packets from other devices to the interface; a super-packet counts once.",
      Double(counters.received))
    counter(
      "mnedc_device_packet_drops", "Packets of the interface that were dropped, by cause.",
      [Sample](
        by: "cause",
        [
          "malformed": counters.malformed, "unroutable": counters.unroutable, "misaddressed": counters.misaddressed,
          "limited": counters.limited, "overdue": counters.overdue, "early": counters.early,
        ]))
  }

  private mutating func addPeerSessions(_ links: PeerLinkCounters) {
    counter(
      "mnedc_device_handshakes", "Handshakes with other devices, by role of this device: initiator or responder.",
      [Sample](by: "role", ["initiator": links.initiations, "responder": links.answers]))
    counter(
      "mnedc_device_peer_sessions", "Encrypted sessions begun with other devices.", Double(links.sessions))
    counter(
      "mnedc_device_peer_drops", "Frames from other devices that were dropped, by cause.",
      [Sample](
        by: "cause",
        [
          "forged": links.forged, "replayed": links.replayed, "unknown-session": links.unknownSession,
          "limited": links.limited, "refused": links.refused,
        ]))
  }

  private mutating func addPeers(_ peers: [PeerStatus]) {
    let known = peers.filter { !$0.isReturning }.uniqued { $0.peer.deviceID }
    gauge(
      "mnedc_device_peer_up",
      "Whether the last echo from that device came back in time: 1, or 0. Up to metrics.peer-limit devices only.",
      known.compactMap { peer in
        guard peer.isSilent || peer.roundTrip != nil else { return nil }
        return Sample(peer.isSilent ? 0 : 1, ["device_id": peer.peer.deviceID])
      })
    gauge(
      "mnedc_device_peer_round_trip_seconds", unit: "seconds",
      "The last echo between this device and that one. Up to metrics.peer-limit devices only.",
      known.compactMap { peer in peer.roundTrip.map { Sample($0.seconds, ["device_id": peer.peer.deviceID]) } })
  }

  /// A send queue: for the relay (`uplink`) or for the devices (`relay`). A relay's host can have both.
  public mutating func addQueue(_ queue: String, bytes: Int, delay: Double, late: Int, overflow: Int) {
    gauge(
      "mnedc_queue_bytes", unit: "bytes", "Bytes that wait in the send queue, by queue.",
      [Sample(Double(bytes), ["queue": queue])])
    gauge(
      "mnedc_queue_delay_seconds", unit: "seconds",
      "Queueing delay of the latest data frame, by queue; on a relay the longest of all devices.",
      [Sample(delay, ["queue": queue])])
    counter(
      "mnedc_queue_drops", "Data frames that a queue dropped, because they had waited too long (late) or it was full.",
      [
        Sample(Double(late), ["queue": queue, "cause": "late"]),
        Sample(Double(overflow), ["queue": queue, "cause": "overflow"]),
      ])
  }
}

extension Sequence {
  /// The first element of each name: no two samples may have the same labels.
  public func uniqued(_ name: (Element) -> String) -> [Element] {
    var names: Set<String> = []
    return filter { names.insert(name($0)).inserted }
  }
}
