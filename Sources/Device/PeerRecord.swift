internal import SystemIO
internal import Wire

/// What this device and one listed peer know of each other, and what they have to say. Owned by the device's thread.
final class PeerRecord {
  // Set once.
  let peer: Peer

  // What the peer has told of itself.
  var orchestration: Orchestration?
  /// How often others are told of changes of this, and whether they are to be told soon.
  var tellings = RateLimit(perSecond: 1.1, burst: 5)
  var isTellingDue = false
  /// When it was needed last, as a number that rises.
  var usedAt: UInt64 = 0

  // What the peer has of this device.
  /// Whether the peer has asked since it was listed, so that it is told of changes.
  var isInformed = false
  /// The revision that it has, as far as is known.
  var revision = -1

  // What is to be said.
  /// Whether the peer is to be asked, or was and has not answered.
  var mustAsk = false
  /// Whether that is for somebody's sake, and not because the network is small.
  var isNeeded = false
  var turn = Turn.none
  /// Whether it is among those that somebody waits for.
  var isUrgent = false
  /// What has been sent in this turn.
  var hasAsked = false
  var sentRevision: Int?
  /// Turns in a row that came to nothing.
  var failures = 0
  /// When the peer has answered the last question.
  var answeredAt: Instant?

  // Proof that it is there.
  var roundTrip: Duration?
  var lastProof: Instant?
  var isSilent = false
  var lastEcho: Instant?
  /// Echoes that are not answered yet, the oldest first.
  var echoes: [(number: Int, sentAt: Instant)] = []

  // Bounds on what it may make this device do.
  var messages = RateLimit(perSecond: 20, burst: 50)
  /// In bytes: a whole information every other second, and echoes.
  var reading = RateLimit(perSecond: 10_000, burst: 200_000)
  var answers = RateLimit(perSecond: 2, burst: 10)

  /// A turn is the time in which a peer has one of the places among those that are dealt with at once. The numbers tell one
  /// from another that has ended.
  enum Turn: Equatable {
    case none
    /// In the queue.
    case waiting
    case active(Int)
    /// Not to be queued before a timer has fired.
    case resting(Int)
  }

  init(_ peer: Peer) {
    self.peer = peer
  }

  /// Whether a question has been answered just now, so that there is no need for another.
  func hasAnswered(lately now: Instant) -> Bool {
    answeredAt.map { now.since($0) < .seconds(1) } ?? false
  }

  var isActive: Bool { if case .active = turn { true } else { false } }

  /// The peer has proved that it is there.
  func prove(at now: Instant) {
    lastProof = now
    isSilent = false
  }
}
