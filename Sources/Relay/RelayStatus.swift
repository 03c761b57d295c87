internal import Admission
public import Link
public import SystemIO
public import Wire

/// The state of a relay at one time.
public struct RelayStatus: Sendable {
  public var pool: IPv4Prefix
  /// `nil`: leases have no IPv6 addresses.
  public var pool6: IPv6Prefix?
  /// The relay host's own address.
  public var address: IPv4Address
  /// How many devices are connected, and how many the pool has addresses for, without the relay host.
  public var online: Int
  public var capacity: Int
  public var isDraining = false
  /// Connections that have not joined.
  public var joining = 0
  /// Data frames for addresses without a device.
  public var unreachable = 0
  /// Memory of all send queues in bytes, and its limit.
  public var sendMemory = 0
  public var sendMemoryLimit = 0
  public var counters = RelayCounters()
  /// Traffic of all sessions since the start, also of those that have ended.
  public var totals = LinkTotals()
  /// Forwarded data frames, also those that a queue then dropped.
  public var forwarded = FrameConnection.Traffic()
  public var sessions: [SessionStatus] = []

  /// Adds what one loop knows.
  mutating func add(_ part: RelayStatus) {
    joining += part.joining
    unreachable += part.unreachable
    counters.add(part.counters)
    totals.add(part.totals)
    forwarded.add(part.forwarded)
    sessions += part.sessions
  }
}

/// Counts of sessions and refusals.
public struct RelayCounters: Sendable, Equatable {
  /// Sessions that have begun, and that have ended.
  public var joins = 0
  public var leaves = 0
  /// Refused devices by the refusal's code.
  public var refused: [String: Int] = [:]
  /// Connections closed because of a frame that failed authentication.
  public var notAuthentic = 0
  /// Connections closed because of a malformed frame.
  public var malformed = 0

  mutating func add(_ other: RelayCounters) {
    joins += other.joins
    leaves += other.leaves
    refused.merge(other.refused, uniquingKeysWith: +)
    notAuthentic += other.notAuthentic
    malformed += other.malformed
  }
}

/// The state of a joined session.
public struct SessionStatus: Sendable {
  public var deviceID: String
  public var key: PublicKey
  public var address: IPv4Address
  /// The device's address and port, as the relay sees them.
  public var outerAddress: String
  public var since: Instant
  public var lastReceived: Instant
  /// Round trip of the last echo between relay and device; `nil` before the first.
  public var roundTrip: Duration?
  public var received: FrameConnection.Traffic
  public var sent: FrameConnection.Traffic
  public var queue: SendQueueStatistics
}

extension RelayLoop {
  /// Adds the loop's part to `empty` and gives it to `reply`, on the loop's thread. Gathers the sessions in parts, so
  /// that frames do not wait for all of them. From any thread.
  func status(_ empty: RelayStatus, _ reply: @escaping @Sendable (RelayStatus) -> Void) {
    events.post { [self] in
      var part = empty
      part.unreachable = forwarder.unreachable
      part.forwarded = forwarder.forwarded
      part.counters = counters
      part.totals = totals
      gather(part, from: Array(sessions.values)[...], reply)
    }
  }

  private func gather(
    _ status: RelayStatus, from rest: ArraySlice<Session>, _ reply: @escaping @Sendable (RelayStatus) -> Void
  ) {
    var status = status
    let part = rest.prefix(Self.gatheredAtOnce)
    let joined = part.compactMap(\.status)
    status.sessions += joined
    status.joining += part.count - joined.count
    let rest = rest.dropFirst(Self.gatheredAtOnce)
    if rest.isEmpty { return reply(status) }
    events.post { [self, status] in gather(status, from: rest, reply) }
  }

  private static let gatheredAtOnce = 500
}

extension Session {
  /// `nil` unless joined. On the loop's thread.
  var status: SessionStatus? {
    guard case .joined(let request, let address) = state else { return nil }
    let (sent, queue) = connection.sendStatistics
    return SessionStatus(
      deviceID: request.deviceID, key: request.key, address: address, outerAddress: origin.name,
      since: since,
      lastReceived: connection.lastReceived, roundTrip: roundTrip, received: connection.received, sent: sent,
      queue: queue)
  }
}
