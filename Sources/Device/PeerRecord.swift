internal import SystemIO
internal import Wire

/// What this device and one listed peer know of each other, and what they have to tell. Owned by the device's thread.
final class PeerRecord {
  // Set once. The two refer to each other until `OrchestrationCache.remove`.
  let state: PeerState
  var peer: Peer { state.peer }
  var path: Path { state.path }

  /// What the peer has told of itself.
  var orchestration: Orchestration?
  /// Limits the events about it; the last change waits if `isEventDue`.
  var eventLimit = RateLimit(perSecond: 1.1, burst: 5)
  var isEventDue = false
  /// When it was last used, as a rising number.
  var usedAt: UInt64 = 0

  // What the peer knows of this device.
  /// Whether the peer has asked since it was listed: then it is told of changes.
  var isSubscribed = false
  /// The revision that it has, as far as is known.
  var revision = -1

  // What is to be sent.
  /// Whether the peer is to be asked, or was and has not answered.
  var mustAsk = false
  /// Whether the answer is needed; if not, the peer is asked only because the network is small.
  var isNeeded = false
  var turn = Turn.none
  /// Whether it is in the queue of peers that a fetch waits for.
  var isUrgent = false
  /// What has been sent in this turn.
  var hasAsked = false
  var sentRevision: Int?
  /// Turns in a row without success.
  var failures = 0
  /// When the peer last answered a question.
  var answeredAt: Instant?

  var lastEcho: Instant?
  /// Echoes that are not answered yet, the oldest first.
  var echoes: [(number: Int, sentAt: Instant)] = []

  // Limits on the work that the peer can cause here.
  var messages = RateLimit(perSecond: 20, burst: 50)
  /// In bytes: a whole information every other second, and echoes.
  var reading = RateLimit(perSecond: 10_000, burst: 200_000)
  var answers = RateLimit(perSecond: 2, burst: 10)

  /// Only so many peers have a turn at a time. The numbers distinguish turns for their timers.
  enum Turn: Equatable {
    case none
    /// In the queue.
    case waiting
    case active(Int)
    /// Not to be queued before a timer has fired.
    case resting(Int)
  }

  init(_ state: PeerState) {
    self.state = state
  }

  /// Whether a question has been answered just now, so that another one is not needed.
  func hasAnswered(lately now: Instant) -> Bool {
    answeredAt.map { now.since($0) < .seconds(1) } ?? false
  }

  var isActive: Bool { if case .active = turn { true } else { false } }
}

/// The orchestration information of at most `limit` peers. Owned by the device's thread.
struct OrchestrationCache {
  /// The peers whose information is known.
  private var known: [IPv4Address: PeerRecord] = [:]
  /// The information of peers that have left just now, for their return.
  private var parted: [IPv4Address: (peer: Peer, orchestration: Orchestration, until: Instant)] = [:]
  private static let partedTime = Duration.seconds(60)
  private var uses: UInt64 = 0
  var limit: Int {
    didSet { shrink() }
  }

  init(limit: Int) {
    self.limit = limit
  }

  /// The record of a listed peer, made if there is none, with the information of a peer that is back.
  mutating func record(of state: PeerState) -> PeerRecord {
    if let record = state.record { return record }
    let record = PeerRecord(state)
    state.record = record
    if let former = parted.removeValue(forKey: state.address), former.peer == state.peer, Instant.now() < former.until {
      keep(former.orchestration, of: record)
    }
    return record
  }

  /// Removes the record of a peer that has left. Its information is kept for a while.
  mutating func remove(_ record: PeerRecord) {
    let peer = record.peer
    if known[peer.address] === record { known[peer.address] = nil }
    record.state.record = nil
    guard let orchestration = record.orchestration else { return }
    let now = Instant.now()
    if parted.count >= max(limit, 1) { parted = parted.filter { now < $0.value.until } }
    guard parted.count < max(limit, 1) else { return }
    parted[peer.address] = (peer, orchestration, now.advanced(by: Self.partedTime))
  }

  /// Keeps what a peer tells of itself if that is newer. True: it is.
  mutating func learn(_ information: Orchestration, of record: PeerRecord) -> Bool {
    if let former = record.orchestration, former.revision >= information.revision {
      touch(record)
      return false
    }
    keep(information, of: record)
    return true
  }

  private mutating func keep(_ information: Orchestration, of record: PeerRecord) {
    touch(record)
    record.orchestration = information
    known[record.peer.address] = record
    shrink()
  }

  /// The information has been used; that of other peers is forgotten first.
  mutating func touch(_ record: PeerRecord) {
    uses += 1
    record.usedAt = uses
  }

  private mutating func shrink() {
    let excess = known.count - max(limit, 1)
    guard excess > 0 else { return }
    for record in known.values.sorted(by: { $0.usedAt < $1.usedAt }).prefix(excess) {
      known[record.peer.address] = nil
      record.orchestration = nil
    }
  }
}
