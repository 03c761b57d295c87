public import Link
public import SystemIO
public import Wire

/// How a relay does, at one time.
public struct RelayStatus: Sendable {
  public var pool: IPv4Prefix
  /// `nil`: leases have no IPv6 addresses.
  public var pool6: IPv6Prefix?
  /// The relay host's own address.
  public var address: IPv4Address
  /// How many devices have an address in use, and how many can; the relay host is not counted.
  public var online: Int
  public var capacity: Int
  /// Whether it lets things finish before it ends.
  public var isDraining = false
  /// Connections that have not joined.
  public var joining = 0
  /// Data frames for addresses that nobody has.
  public var unreachable = 0
  /// What all send queues take, in bytes.
  public var sendMemory = 0
  /// What they may take together.
  public var sendMemoryLimit = 0
  public var counters = RelayCounters()
  /// What the sessions of devices have carried since the start, those that have ended among them.
  public var totals = LinkTotals()
  /// Data frames that were handed on to the devices they are for, those that then did not fit a queue among them.
  public var forwarded = FrameConnection.Traffic()
  public var sessions: [SessionStatus] = []

  mutating func add(_ loop: RelayLoop.Status) {
    joining += loop.joining
    unreachable += loop.unreachable
    counters.add(loop.counters)
    totals.add(loop.totals)
    forwarded.add(loop.forwarded)
    sessions += loop.sessions
  }
}

/// Who came and went, and what was turned away.
public struct RelayCounters: Sendable, Equatable {
  /// Sessions of devices that have begun, and those of them that have ended.
  public var joins = 0
  public var leaves = 0
  /// Devices that were not let in, by the refusal's code.
  public var refused: [String: Int] = [:]
  /// Connections closed because of a frame that did not open.
  public var notAuthentic = 0
  /// Connections closed because of a frame that made no sense.
  public var malformed = 0

  mutating func add(_ other: RelayCounters) {
    joins += other.joins
    leaves += other.leaves
    refused.merge(other.refused, uniquingKeysWith: +)
    notAuthentic += other.notAuthentic
    malformed += other.malformed
  }
}

/// How one joined session does.
public struct SessionStatus: Sendable {
  public var deviceID: String
  public var key: PublicKey
  public var address: IPv4Address
  /// Where the device connects from, as the relay sees it.
  public var outerAddress: String
  public var since: Instant
  public var lastReceived: Instant
  /// The last echo between relay and device; `nil` if none was needed yet.
  public var roundTrip: Duration?
  public var received: FrameConnection.Traffic
  public var sent: FrameConnection.Traffic
  public var queue: SendQueueStatistics
}

extension RelayLoop {
  /// One loop's part of the relay's state.
  struct Status: Sendable {
    var joining: Int
    var unreachable: Int
    var counters: RelayCounters
    var totals: LinkTotals
    var forwarded: FrameConnection.Traffic
    var sessions: [SessionStatus]
  }

  /// Gives the loop's state to `reply`, on its thread, bit by bit, so that nobody's frames wait for all of it. From any thread.
  func status(_ reply: @escaping @Sendable (Status) -> Void) {
    events.post { [self] in
      let part = Status(
        joining: 0, unreachable: forwarder.unreachable, counters: counters, totals: totals,
        forwarded: forwarder.forwarded, sessions: [])
      gather(part, from: Array(sessions.values)[...], reply)
    }
  }

  private func gather(
    _ status: Status, from rest: ArraySlice<Session>, _ reply: @escaping @Sendable (Status) -> Void
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
    guard case .joined(let applicant, let address) = state else { return nil }
    let (sent, queue) = connection.sendStatistics
    return SessionStatus(
      deviceID: applicant.deviceID, key: applicant.key, address: address, outerAddress: origin.name,
      since: since,
      lastReceived: connection.lastReceived, roundTrip: roundTrip, received: connection.received, sent: sent,
      queue: queue)
  }
}
