internal import SystemIO
internal import Wire

/// Keeps short what stands in all queues on the way to one peer together, where no single one of them does.
///
/// On a fast way, what has been sent waits now here and now there: in whichever process has not had its turn yet. Each
/// queue is empty again and again, and an AQM that goes by the least delay (RFC 8289) leaves it alone; but all of them
/// together hold what the sender's window allows, megabytes, and everything else waits behind. Only the sender can see
/// the sum: what it sends to the peer until a packet is acknowledged, less what the way holds when nothing waits (as TCP
/// Vegas counts: Brakmo and others, 1994). When that is too much for a while, one super-packet is dropped here, which
/// makes its sender take its window back.
///
/// The acknowledgments are those of the TCP connections that the packets belong to, so the peer has nothing to do.
/// Owned by the device's thread.
struct StandingQueue {
  /// So many bytes may stand: as much as several processes in a row need to have something to do. On a way that takes less
  /// than 100 MB/s it is 12 ms of delay, which the queues on it see and end themselves.
  static let limit = 1152 << 10
  /// Beside that, so large a part of what is under way, since on a long way delays vary by more than a short queue's.
  private static let share = 0.25
  /// How long it must be too much.
  static let interval = Duration.milliseconds(50)
  /// For how long the shortest round trip counts: the way may be another one then.
  static let memory = Duration.seconds(10)
  /// A round trip that has not ended by then does not count.
  static let patience = Duration.seconds(1)
  /// Packets of this size are measured and dropped; the others are no bulk.
  static let leastSize = 8 << 10

  /// A packet that is waited for to be acknowledged, and how much has gone since.
  private struct Probe {
    let packet: TCPPeek
    let sentAt: Instant
    var sent = 0
  }

  private var probe: Probe?
  /// What stands, in bytes, smoothed.
  private var standing = 0.0
  /// Since when too much stands, and when that was learned the last time.
  private var excessSince: Instant?
  private var learnedAt = Instant(nanoseconds: 0)
  /// The shortest round trip of this time and of the one before, each `memory` long.
  private var shortest: Duration?
  private var formerShortest: Duration?
  private var shortestSince = Instant(nanoseconds: 0)

  /// Whether an acknowledgment is waited for: only then `receive` does anything.
  var isWaiting: Bool { probe != nil }

  /// Takes note of a packet for the peer, at a time that need not be exact. False: it is to be dropped.
  mutating func admits(_ packet: RawSpan, at now: Instant) -> Bool {
    if let probe, now.since(probe.sentAt) > Self.patience { self.probe = nil }
    probe?.sent += packet.byteCount
    let isDue = isExcessive(at: now)
    guard probe == nil || isDue, packet.byteCount >= Self.leastSize, let peek = IPPeek(packet),
      let segment = TCPPeek(packet, peek)
    else { return true }
    if isDue {
      // What was measured before says nothing about after.
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

  /// Takes note of a packet from the peer. `now` is asked only if it matters.
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
