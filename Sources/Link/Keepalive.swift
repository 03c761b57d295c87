// The two ends of a connection take turns in sending the echo, and one echo proves both alive, so an idle link carries
// one echo per interval. The timeout counts from the first unanswered echo, not from the last byte, so that a stopped
// process or a sleeping host does not end live sessions.

internal import SystemIO

/// How often the two ends of a connection have agreed to send each other echoes.
public struct KeepaliveTerms: Sendable, Equatable {
  /// The silence after which an end sends an echo request while the connection carries data.
  public let base: Duration
  /// What that may grow to while it carries none.
  public let idle: Duration

  /// An `idle` below `base` is `base`.
  public init(base: Duration, idle: Duration? = nil) {
    self.base = base
    self.idle = max(base, idle ?? base)
  }

  /// How often both ends check their connections. The time limits below allow for a check that is late by this much.
  public var checkInterval: Duration { min(base / 4, .seconds(1)) }

  /// Whether checks that are so far apart mean that this process was stopped: an answer may be unread in the socket.
  public func isAbsence(_ gap: Duration) -> Bool { gap > max(base, .seconds(1)) }

  /// How long an echo request may remain unanswered on a connection with a usual round trip.
  var patience: Duration { base * 3 / 2 }

  /// The same on a connection with this round trip: twice the round trip, as in TCP.
  func patience(roundTrip: Duration) -> Duration { max(patience, min(roundTrip * 2, Self.longestPatience)) }

  /// On a connection in use, an end that is silent for this time is dead: it covers the silence before the echo
  /// request, the patience after it, and two late checks.
  func deadline(roundTrip: Duration) -> Duration { patience(roundTrip: roundTrip) * 2 }

  private static let longestPatience = Duration.seconds(60)

  /// Within this time after the last data, a connection is in use.
  private var use: Duration { base * 30 }

  /// The silence after which to send an echo request when the connection has carried no data for `quiet`.
  func interval(quiet: Duration) -> Duration {
    quiet < use ? base : min(max(base, quiet / 10), idle)
  }
}

/// When to send an echo request, and when the other end is dead. Reads no clock.
///
/// One echo proves both ends alive, so they take turns: the end that asked last waits a little longer. Without data the
/// requests become rare; new data restores the usual interval at once. The timeout counts from the first unanswered
/// request, and only while this process runs: after a stop, or a sleep of the host, it asks again.
struct Keepalive: Sendable {
  enum Verdict: Equatable {
    case fine
    /// Ask now.
    case ask
    case dead
  }

  private var hasChecked = false
  /// The first echo request after which nothing was received; since when and for how long this end waits for an answer.
  private var asked: (at: Instant, since: Instant, patience: Duration)?
  private var isOurTurn = true
  private var dataFrames = 0
  private var lastData = Instant(nanoseconds: 0)

  /// Call it at `nextCheck`, and within `terms.checkInterval` when a quiet connection carries data again. `received` is
  /// when bytes were last received, `dataFrames` how many data frames both ends have sent so far. `wasAway`: see
  /// `KeepaliveTerms.isAbsence`.
  mutating func check(
    at now: Instant, received: Instant, dataFrames: Int, wasAway: Bool = false, _ terms: KeepaliveTerms
  ) -> Verdict {
    if !hasChecked || dataFrames != self.dataFrames {
      self.dataFrames = dataFrames
      lastData = now
    }
    hasChecked = true
    if let asked {
      if received <= asked.at {
        if wasAway { return ask(at: now, terms.patience) }
        return now.since(asked.since) >= asked.patience ? .dead : .fine
      }
      self.asked = nil
    }
    guard wasAway || now.since(received) >= dueSilence(at: now, terms) else { return .fine }
    return ask(at: now, terms.patience)
  }

  /// The silence after which this end asks.
  private func dueSilence(at now: Instant, _ terms: KeepaliveTerms) -> Duration {
    let interval = terms.interval(quiet: now.since(lastData))
    return isOurTurn ? interval - terms.checkInterval : interval + (interval - terms.base) / 4
  }

  /// When to check again after a check at `now`, unless data is sent or received before.
  func nextCheck(after now: Instant, received: Instant, _ terms: KeepaliveTerms) -> Instant {
    let soonest = now.advanced(by: terms.checkInterval)
    return asked == nil ? max(soonest, received.advanced(by: dueSilence(at: now, terms))) : soonest
  }

  /// Whether there was no data for so long that the requests are rare.
  func isQuiet(at now: Instant, _ terms: KeepaliveTerms) -> Bool {
    terms.interval(quiet: now.since(lastData)) > terms.base
  }

  /// Notes an echo request, also one out of turn: without an answer within `patience`, the other end is dead.
  @discardableResult
  mutating func ask(at now: Instant, _ patience: Duration) -> Verdict {
    asked = (now, now, patience)
    return .ask
  }

  /// When the unanswered echo request was sent, if there is one.
  var askedAt: Instant? { asked?.at }

  /// The other end's kernel has received more of the bytes before the echo request, so the time limit starts again.
  mutating func startAnew(at now: Instant) { asked?.since = now }

  /// The answer may take this long, if that is longer than before.
  mutating func allow(_ patience: Duration) {
    if let asked { self.asked?.patience = max(asked.patience, patience) }
  }

  /// This end has asked, so the other end asks next.
  mutating func hasAsked() { isOurTurn = false }

  /// The other end has asked, so this end asks next.
  mutating func wasAsked() { isOurTurn = true }
}

/// Follows an unanswered echo request by what the other end's kernel acknowledges. On a slow path a lot of data may
/// precede the request; while that data moves, the connection lives. Once the request has arrived, its answer has a
/// time limit, because the kernel acknowledges also for a program that is stuck.
struct EchoWatch {
  /// The ping ends with this byte of the stream.
  private var end = Int.max
  private var acknowledged = 0
  private(set) var isDelivered = false
  private var isFirstLook = true
  /// How many segments had been received after a missing one when the ping was sent.
  private var outOfOrder = 0

  init(end: Int = .max, outOfOrder: Int = 0) {
    self.end = end
    self.outOfOrder = outOfOrder
  }

  /// Notes how many bytes of the stream are acknowledged. True: more of the bytes up to the ping than before.
  mutating func note(acknowledged now: Int) -> Bool {
    defer { isFirstLook = false }
    let moved = !isDelivered && now > acknowledged
    acknowledged = max(acknowledged, now)
    isDelivered = acknowledged >= end
    return moved && !isFirstLook
  }

  /// Whether large packets do not get through to this end: the other end has received the ping, and segments that it
  /// sent after a missing one are received.
  func isIncomingBlocked(_ path: TCPPath) -> Bool {
    isDelivered && path.outOfOrder > outOfOrder
  }
}
