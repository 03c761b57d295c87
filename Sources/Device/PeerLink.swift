internal import Noise
internal import SystemIO
internal import Wire

/// The sessions with one peer, the handshake for the next session, and packets that wait for it. Owned by the device's
/// thread.
final class PeerLink {
  // Set once.
  let address: IPv4Address

  /// `PeerState.path`, where a packet finds it at once.
  var path: Path

  private static let maximumFormer = 3

  /// Frames to the peer are sealed with this session.
  private(set) var current: PeerSession?
  /// Agreed on as responder, but the initiator has not used it yet.
  private(set) var next: PeerSession?
  /// Replaced, the latest first; frames of them may still be on their way.
  private(set) var former: [PeerSession] = []
  /// This device's own initiation that has not been answered.
  var attempt: Attempt?
  var pending = PendingPackets()
  /// Since when there has been nothing in it.
  var emptySince: Instant?
  /// How many of the peer's initiations and responses this device reads: each costs it a key agreement.
  var initiations = RateLimit(perSecond: 5, burst: 20)
  var responses = RateLimit(perSecond: 5, burst: 100)
  /// How often frames of unknown sessions make this device begin a handshake.
  var healing = RateLimit(perSecond: 0.5, burst: 1)

  struct Attempt {
    var handshake: Handshake
    var number: UInt32
    var suite: CipherSuite
    /// When the first initiation was sent.
    var since: Instant
    /// How long to wait before the next one is sent.
    var wait: Duration
    var timer: Timer
  }

  init(_ state: PeerState) {
    address = state.address
    path = state.path
  }

  var isEmpty: Bool { current == nil && next == nil && former.isEmpty && attempt == nil && pending.isEmpty }

  /// The session that a frame from the peer names.
  func session(_ number: UInt32) -> PeerSession? {
    if let current, current.number == number { return current }
    if let next, next.number == number { return next }
    return former.first { $0.number == number }
  }

  /// The peer has answered this device's initiation, so it has the session.
  func establish(_ session: PeerSession) {
    // The peer may already use a prepared session, although no frame of it has come.
    retire([next, current].compactMap { $0 === session ? nil : $0 })
    current = session
    next = nil
  }

  private func retire(_ sessions: [PeerSession]) {
    former.insert(contentsOf: sessions, at: 0)
    former.removeLast(max(0, former.count - Self.maximumFormer))
  }

  /// This device has answered the peer's initiation; the answer may not arrive.
  func prepare(_ session: PeerSession) {
    if let next { retire([next]) }
    next = session
  }

  /// A frame of `session` has come, so the peer has the session. True: it has become the current one.
  func confirm(_ session: PeerSession) -> Bool {
    guard !session.isConfirmed else { return false }
    session.isConfirmed = true
    if let current, current.since >= session.since { return false }
    former.removeAll { $0 === session }
    establish(session)
    return true
  }

  /// Forgets the current session after `limit`, and replaced ones after twice that.
  func expire(at now: Instant, after limit: Duration) {
    if let current, now.since(current.since) >= limit { self.current = nil }
    if let next, now.since(next.since) >= limit { self.next = nil }
    former.removeAll { now.since($0.since) >= limit + limit }
  }

  /// The peer has not used the prepared session in time.
  func dropUnconfirmed() {
    if let next { retire([next]) }
    next = nil
  }
}
