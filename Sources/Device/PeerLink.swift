internal import Noise
internal import SystemIO
internal import Wire

/// What this device has with one peer: sessions, the handshake for the next one, and packets that wait for it. Owned by the
/// device's thread.
final class PeerLink {
  // Set once.
  let peer: Peer

  private static let maximumFormer = 3

  /// What frames to the peer are sealed with.
  private(set) var current: PeerSession?
  /// Agreed on as responder, but the initiator has not used it yet.
  private(set) var next: PeerSession?
  /// Replaced, the latest first, but frames may still be on their way.
  private(set) var former: [PeerSession] = []
  /// This device's own initiation that has not been answered.
  var attempt: Attempt?
  var pending = PendingPackets()
  /// How long frames of packets for the peer may be.
  var frameLimit = FrameLimit()
  /// What stands on the way there.
  var standing = StandingQueue()
  /// Since when there has been nothing in it.
  var emptySince: Instant?
  /// Since when the relay does not list the peer, if it does not: nothing goes either way until it does again.
  var absentSince: Instant?
  /// How many of the peer's initiations and responses this device reads: each costs it a key agreement.
  var initiations = RateLimit(perSecond: 5, burst: 20)
  var responses = RateLimit(perSecond: 5, burst: 100)
  /// How often frames of sessions that this device does not have may make it begin one.
  var healing = RateLimit(perSecond: 0.5, burst: 1)

  struct Attempt {
    var handshake: Handshake
    var number: UInt32
    var suite: CipherSuite
    /// When the first one was sent.
    var since: Instant
    /// How long to wait before the next one is sent.
    var wait: Duration
    var timer: Timer
  }

  init(_ peer: Peer) {
    self.peer = peer
  }

  var isEmpty: Bool { current == nil && next == nil && former.isEmpty && attempt == nil && pending.isEmpty }

  /// The session that a frame from the peer names.
  func session(_ number: UInt32) -> PeerSession? {
    if let current, current.number == number { return current }
    if let next, next.number == number { return next }
    return former.first { $0.number == number }
  }

  /// The peer has answered this device's initiation: it has the session already.
  func establish(_ session: PeerSession) {
    // One that was prepared may be in use at the peer already, though nothing of that has come.
    retire([next, current].compactMap { $0 === session ? nil : $0 })
    current = session
    next = nil
  }

  private func retire(_ sessions: [PeerSession]) {
    former.insert(contentsOf: sessions, at: 0)
    former.removeLast(max(0, former.count - Self.maximumFormer))
  }

  /// This device has answered the peer's initiation, but does not know yet whether that has arrived.
  func prepare(_ session: PeerSession) {
    if let next { retire([next]) }
    next = session
  }

  /// A frame of `session` has come, which proves that the peer has it. True: it is the current one only now.
  func confirm(_ session: PeerSession) -> Bool {
    guard !session.isConfirmed else { return false }
    session.isConfirmed = true
    if let current, current.since >= session.since { return false }
    former.removeAll { $0 === session }
    establish(session)
    return true
  }

  /// Forgets sessions that are too old: the current one after `limit`, those that were replaced after twice that.
  func expire(at now: Instant, after limit: Duration) {
    if let current, now.since(current.since) >= limit { self.current = nil }
    if let next, now.since(next.since) >= limit { self.next = nil }
    former.removeAll { now.since($0.since) >= limit + limit }
  }

  /// Stops to wait for the peer to use a session that it has not used yet.
  func dropUnconfirmed() {
    if let next { retire([next]) }
    next = nil
  }
}
