// The two ends of a connection take turns in sending the echo, and one echo proves both alive, so an idle link carries
// one echo per interval. The timeout counts from the first unanswered echo, not from the last byte, so that a stopped
// process or a sleeping host does not end live sessions.

internal import SystemIO

/// How often the two ends of a connection have agreed to send each other echoes.
public struct KeepaliveTerms: Sendable, Equatable {
  /// While data goes over the connection: after this silence an echo is asked for.
  public let base: Duration
  /// What that may grow to while no data does.
  public let idle: Duration

  /// An `idle` below `base` is `base`.
  public init(base: Duration, idle: Duration? = nil) {
    self.base = base
    self.idle = max(base, idle ?? base)
  }

  /// How often both ends look after their connections. What follows makes up for the time that a look may be late.
  public var checkInterval: Duration { min(base / 4, .seconds(1)) }

  /// Whether a look that comes so long after the one before means that nobody could look: an answer may lie in the socket still.
  public func isAbsence(_ gap: Duration) -> Bool { gap > max(base, .seconds(1)) }

  /// How long the first echo request may remain unanswered on a connection with a usual round trip.
  var patience: Duration { base * 3 / 2 }

  /// The same on a connection with this round trip: as TCP does, the answer is given twice the time that it takes.
  func patience(roundTrip: Duration) -> Duration { max(patience, min(roundTrip * 2, Self.longestPatience)) }

  /// The other end of a connection in use that has been silent for this time is dead: the silence before the echo
  /// request, the patience after it, and two late checks fit into it.
  func deadline(roundTrip: Duration) -> Duration { patience(roundTrip: roundTrip) * 2 }

  private static let longestPatience = Duration.seconds(60)

  /// Within this time after the last data, a connection is in use.
  private var use: Duration { base * 30 }

  /// What silence to question when no data has gone either way for `quiet`: it grows with that.
  func interval(quiet: Duration) -> Duration {
    quiet < use ? base : min(max(base, quiet / 10), idle)
  }
}

/// When to ask the other end of a connection for an echo, and when it is dead. Knows no clock.
///
/// One echo proves both ends to each other, so one side asks and the other waits a little longer: whose question was
/// answered the last time waits. On a connection without data the questions become rare, and data that goes again
/// brings them back at once. Death is counted from the first question without answer, and by time that this process
/// was there to see: after a stop, or a sleep of the host, it asks anew.
struct Keepalive: Sendable {
  enum Verdict: Equatable {
    case fine
    /// Ask now.
    case ask
    case dead
  }

  private var hasChecked = false
  /// The first echo request after which nothing was received; since when, and for how long, this end waits for
  /// something.
  private var asked: (at: Instant, since: Instant, patience: Duration)?
  private var isOurTurn = true
  private var dataFrames = 0
  private var lastData = Instant(nanoseconds: 0)

  /// To be called by `nextCheck`, and within `terms.checkInterval` once data goes after a while without. `received` is when
  /// bytes last came, `dataFrames` how many frames of data have gone either way so far. `wasAway`: nobody could look for
  /// so long that an answer may lie in the socket still.
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

  /// The silence after which this side asks.
  private func dueSilence(at now: Instant, _ terms: KeepaliveTerms) -> Duration {
    let interval = terms.interval(quiet: now.since(lastData))
    return isOurTurn ? interval - terms.checkInterval : interval + (interval - terms.base) / 4
  }

  /// When to look again after a look at `now`, unless data goes before.
  func nextCheck(after now: Instant, received: Instant, _ terms: KeepaliveTerms) -> Instant {
    let soonest = now.advanced(by: terms.checkInterval)
    return asked == nil ? max(soonest, received.advanced(by: dueSilence(at: now, terms))) : soonest
  }

  /// Whether no data has gone for so long that the questions are rare.
  func isQuiet(at now: Instant, _ terms: KeepaliveTerms) -> Bool {
    terms.interval(quiet: now.since(lastData)) > terms.base
  }

  /// Takes note of a question that is asked out of turn: without an answer within `patience`, the other end is dead.
  mutating func probe(at now: Instant, patience: Duration) {
    _ = ask(at: now, patience)
  }

  private mutating func ask(at now: Instant, _ patience: Duration) -> Verdict {
    asked = (now, now, patience)
    return .ask
  }

  /// When the unanswered echo request was sent; `nil`: there is none.
  var askedAt: Instant? { asked?.at }

  /// The other end's kernel has received more of the bytes before the echo request, so the time limit begins anew.
  mutating func startAnew(at now: Instant) { asked?.since = now }

  /// The answer may take this long, if that is longer than before.
  mutating func allow(_ patience: Duration) {
    if let asked { self.asked?.patience = max(asked.patience, patience) }
  }

  /// This side has asked, so the next question is the other's.
  mutating func hasAsked() { isOurTurn = false }

  /// The other side has asked, so the next question is ours.
  mutating func wasAsked() { isOurTurn = true }
}
