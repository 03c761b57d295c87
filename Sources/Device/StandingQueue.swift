internal import SystemIO
internal import Wire

/// Limits the sum of all queues on the path to one peer, where no single queue is long.
///
/// On a fast path, data waits in one process and then in another, whichever has not had its turn. Each queue is empty
/// again and again, and an AQM that goes by the least delay (RFC 8289) does not act; but together they hold the
/// sender's window, megabytes, and everything else waits behind. Only the sender can measure the sum: the bytes sent to
/// the peer until a packet is acknowledged, less what the path holds without queues (as TCP Vegas counts: Brakmo and
/// others, 1994). When that is too much for a while, one super-packet is dropped here, and its sender reduces its
/// window.
///
/// The acknowledgments are those of the TCP connections that the packets belong to, so the peer has nothing to do.
/// Owned by the device's thread.
struct StandingQueue {
  /// The bytes that may stand: several processes in a row need as much to be busy. On a path below 100 MB/s this is
  /// 12 ms of delay, which the queues on it notice and end themselves.
  static let limit = 1152 << 10
  /// In addition, this part of the bytes under way: on a long path delays vary by more than a short queue's.
  private static let share = 0.25
  /// How long it must be too much.
  static let interval = Duration.milliseconds(50)
  /// How long the shortest round trip counts, since the route may change.
  static let memory = Duration.seconds(10)
  /// A round trip that takes longer does not count.
  static let patience = Duration.seconds(1)
  /// Packets of this size are measured and dropped; smaller ones are no bulk.
  static let leastSize = 8 << 10

  /// A packet whose acknowledgment is awaited, and the bytes sent since.
  private struct Probe {
    let packet: TCPPeek
    let sentAt: Instant
    var sent = 0
  }

  private var probe: Probe?
  /// What stands, in bytes, smoothed.
  private var standing = 0.0
  /// Since when too much stands, and when that was last measured.
  private var excessSince: Instant?
  private var learnedAt = Instant(nanoseconds: 0)
  /// The shortest round trip of the present period and of the one before, each `memory` long.
  private var shortest: Duration?
  private var formerShortest: Duration?
  private var shortestSince = Instant(nanoseconds: 0)

  /// Whether an acknowledgment is awaited; otherwise `receive` does nothing.
  var isWaiting: Bool { probe != nil }

  /// Counts a packet for the peer; `now` need not be exact. False: the packet is to be dropped.
  mutating func admits(_ packet: RawSpan, at now: Instant) -> Bool {
    if let probe, now.since(probe.sentAt) > Self.patience { self.probe = nil }
    probe?.sent += packet.byteCount
    let isDue = isExcessive(at: now)
    guard probe == nil || isDue, packet.byteCount >= Self.leastSize, let peek = IPPeek(packet),
      let segment = TCPPeek(packet, peek)
    else { return true }
    if isDue {
      // Measurements from before the drop say nothing about the time after it.
      probe = nil
      standing = 0
      excessSince = nil
      return false
    }
    probe = Probe(packet: segment, sentAt: now, sent: packet.byteCount)
    return true
  }

  private func isExcessive(at now: Instant) -> Bool {
    guard let excessSince, now.since(learnedAt) <= Self.patience else { return false }
    return now.since(excessSince) >= Self.interval
  }

  /// Looks at a packet from the peer. `now` is evaluated only if needed.
  mutating func receive(_ packet: RawSpan, _ peek: IPPeek, at now: @autoclosure () -> Instant) {
    guard let probe, let segment = TCPPeek(packet, peek), segment.confirms(probe.packet) else { return }
    self.probe = nil
    let now = now()
    learn(from: probe, after: max(now.since(probe.sentAt), .nanoseconds(1)), at: now)
  }

  private mutating func learn(from probe: Probe, after roundTrip: Duration, at now: Instant) {
    if now.since(shortestSince) >= Self.memory {
      formerShortest = now.since(shortestSince) < Self.memory + Self.memory ? shortest : nil
      shortest = roundTrip
      shortestSince = now
    }
    shortest = min(shortest ?? roundTrip, roundTrip)
    let base = min(shortest ?? roundTrip, formerShortest ?? roundTrip)
    if now.since(learnedAt) > Self.patience {
      standing = 0
      excessSince = nil
    }
    learnedAt = now
    let sent = Double(probe.sent)
    standing += (sent * (1 - base.seconds / roundTrip.seconds) - standing) / 8
    let isExcess = standing > max(Double(Self.limit), sent * Self.share)
    excessSince = isExcess ? excessSince ?? now : nil
  }
}
