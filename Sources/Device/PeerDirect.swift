internal import Link
internal import SystemIO
internal import Wire

/// What there is of direct paths to one peer. Owned by the device's thread.
final class PeerDirect {
  // Set once.
  private unowned let paths: DirectPaths
  private unowned let state: PeerState

  /// Connections to the peer that were made or are proved.
  var connections: [DirectConnection] = []
  var lastOffer: Instant?
  /// How long to wait after the last offer before the next.
  var wait = firstWait
  var takes = RateLimit(perSecond: 0.2, burst: 5)
  private var losses: [Instant] = []
  private var restUntil: Instant?
  private var rest = Duration.seconds(60)

  /// The last change of this device's path, and of the peer's with the ends that have come.
  var change: UInt32 = 0
  private var arrived: (change: UInt32, ends: UInt16) = (0, 0)
  /// The connection that waits for the rest of the ends.
  private var held: (connection: DirectConnection, change: UInt32, flows: UInt16)?

  static let firstWait = Duration.seconds(30)
  static let longestWait = Duration.seconds(600)
  private static let holdTime = Duration.milliseconds(30)

  init(_ state: PeerState, _ paths: DirectPaths) {
    self.state = state
    self.paths = paths
  }

  /// Ends all connections.
  func end(_ reason: String) {
    paths.endAll(of: state, reason)
  }

  // MARK: Losses

  /// A path was lost: after three within a minute the next attempts come later and later.
  func noteLoss(at now: Instant) {
    losses = losses.filter { now.since($0) < .seconds(60) } + [now]
    guard losses.count >= 3 else { return }
    losses = []
    restUntil = now.advanced(by: rest)
    rest = min(rest * 2, Self.longestWait)
  }

  func isResting(at now: Instant) -> Bool { restUntil.map { now < $0 } ?? false }

  // MARK: Changes of the peer's path

  /// The peer sends no more of a flow on its former path.
  func takeEnd(_ change: UInt32) {
    guard change >= arrived.change else { return }
    arrived = change == arrived.change ? (change, arrived.ends &+ 1) : (change, 1)
    if let held, held.change == change, arrived.ends >= held.flows { release() }
  }

  /// The peer's frames come by `connection` from now on: they wait until those that it sent before have come.
  func takeBegin(_ change: UInt32, _ flows: UInt16, on connection: DirectConnection) {
    guard flows > 0, arrived.change != change || arrived.ends < flows else { return }
    release()
    held = (connection, change, flows)
    connection.connection.hold()
    paths.events.schedule(after: Self.holdTime) { [weak self] in
      guard let self, held?.change == change else { return }
      release()
    }
  }

  func release() {
    held?.connection.connection.release()
    held = nil
  }
}
