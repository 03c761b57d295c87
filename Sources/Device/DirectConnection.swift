// A TCP connection between two devices, and how it is watched:
//
//   packets come   → every 150 ms a report says the highest counter that has come
//   packets go     → a report of progress, or a response, shows that they arrive; without one for 150 ms a challenge is
//                    sent, and without any for longer the path is lost
//   nothing goes   → a challenge a minute keeps NATs from forgetting the connection, while it was used lately

internal import Link
internal import SystemIO
internal import SystemPackage
internal import Wire

/// A direct connection to a peer, or one that a peer may have made. Owned by the device's thread.
final class DirectConnection: EventHandler {
  // Set once.
  private unowned let paths: DirectPaths
  let connection: FrameConnection
  let remote: SocketAddress
  /// Whether this device has made it.
  let isDialled: Bool

  /// The peer, once it has proved itself, and this device's path to it.
  private(set) weak var state: PeerState?
  private(set) var path: Path?
  /// The peer's number for its path.
  private var peersNumber: UInt32?
  /// Whether packets may go here: the peer has answered a challenge.
  private(set) var isProven = false

  private var challenge: (number: UInt64, at: Instant)?
  private(set) var roundTrip: Duration?
  private var lastResponse = Instant.now()

  // Received frames, and the reports about them.
  private var highest: UInt64 = 0
  private var hasNews = false
  private var lastReport = Instant(nanoseconds: 0)

  // Sent frames, and what the peer has confirmed.
  private var confirmed = 0
  private var seen = 0
  private var peersHighest: UInt64 = 0
  /// Since when frames have gone that nothing confirms.
  private var unconfirmedSince: Instant?
  private(set) var lastUse = Instant.now()

  private static let reportInterval = Duration.milliseconds(150)
  private static let shortestLoss = Duration.milliseconds(500)
  private static let keepalive = Duration.seconds(60)
  private static let keepaliveTime = Duration.seconds(5)

  init(_ connection: FrameConnection, to remote: SocketAddress, isDialled: Bool, _ paths: DirectPaths) {
    self.connection = connection
    self.remote = remote
    self.isDialled = isDialled
    self.paths = paths
  }

  /// Whether a frame belongs to this connection's path.
  func takes(_ header: SealedHeader) -> Bool { header.path == peersNumber }

  // MARK: Frames

  func handle(_ events: Events) {
    if events.contains(.writable) { connection.flush() }
    do {
      try connection.receive(
        events, using: paths.memory,
        deliver: { frame, header throws(WireError) in try accept(frame, header) }, finish: {})
    } catch {
      paths.end(self, error.text("the peer"))
    }
  }

  private func accept(_ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    let payload = UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...])
    switch header.type {
    case .data where state == nil || header.address == state?.address:
      paths.deliver(payload, from: header.address, on: self)
    case .peerHandshake where state != nil && header.address == state?.address:
      paths.deliver(handshake: UnsafeRawBufferPointer(payload), from: header.address)
    default: throw .unexpectedFrame(header.type)
    }
  }

  /// Counts a frame that has opened.
  func note(_ header: SealedHeader) {
    highest = max(highest, header.counter)
    guard header.kind != .path else { return }
    hasNews = true
    paths.watchClosely()
  }

  // MARK: Proof

  /// The connection is the peer's, by a frame on its path `number`, or because this device has made it.
  func bind(to state: PeerState, _ path: Path) {
    self.state = state
    self.path = path
    connection.payloadLimit = FrameHeader.maximumPayload
    path.carrier.connection = connection
    path.carrier.onUse = { [unowned paths] in paths.watchClosely() }
  }

  func bind(toPeersPath number: UInt32) {
    peersNumber = number
  }

  var isBound: Bool { peersNumber != nil }

  func send(_ message: PathMessage) {
    guard let path, let session = state?.link?.current else { return }
    let frame = session.frame(message.bytes, as: .path, flow: PeerMessage.flow, path.address, path: path.number)
    frame.withUnsafeBytes { connection.send(FrameRun($0, frames: 1)) }
  }

  func ask(at now: Instant) {
    guard let state, state.link?.current != nil else {
      if let state { paths.openSession(with: state) }
      return
    }
    let number = UInt64.random(in: 0 ... .max)
    challenge = (number, now)
    send(.challenge(number))
  }

  /// True: this proves the path.
  func takeResponse(_ number: UInt64, at now: Instant) -> Bool {
    guard let asked = challenge, asked.number == number else { return false }
    challenge = nil
    let time = now.since(asked.at)
    roundTrip = roundTrip.map { ($0 * 7 + time) / 8 } ?? time
    confirm(at: now)
    defer { isProven = true }
    return !isProven
  }

  func takeReport(_ highest: UInt64, at now: Instant) {
    guard highest > peersHighest else { return }
    peersHighest = highest
    confirm(at: now)
  }

  private func confirm(at now: Instant) {
    lastResponse = now
    unconfirmedSince = nil
    confirmed = path?.carrier.sent ?? 0
  }

  // MARK: Watching

  /// Why the path is lost; `nil`: it is not. To be called every `DirectPaths.interval` while the path is in use, and
  /// more rarely if not.
  func check(at now: Instant) -> String? {
    guard isProven, let path else { return nil }
    connection.trim()
    if hasNews || path.carrier.sent != seen {
      seen = path.carrier.sent
      lastUse = now
    }
    if hasNews, now.since(lastReport) >= Self.reportInterval {
      hasNews = false
      lastReport = now
      send(.report(highest: highest))
    }
    if path.carrier.sent != confirmed {
      let since = unconfirmedSince ?? now
      unconfirmedSince = since
      let silence = now.since(since)
      if silence >= max((roundTrip ?? .zero) * 3 as Duration, Self.shortestLoss) {
        return "the peer has confirmed nothing for \(silence.nanoseconds / 1_000_000) ms"
      }
      if silence >= Self.reportInterval, challenge.map({ now.since($0.at) >= Self.reportInterval }) ?? true {
        ask(at: now)
      }
    } else if let challenge, now.since(challenge.at) >= Self.keepaliveTime {
      return "the peer has not answered for \(Int(Self.keepaliveTime.seconds)) s"
    } else if challenge == nil, now.since(lastResponse) >= Self.keepalive {
      ask(at: now)
    }
    return nil
  }

  /// Whether a check is due soon.
  func isActive(at now: Instant) -> Bool { unconfirmedSince != nil || hasNews || now.since(lastUse) < .seconds(1) }

  func close() {
    path?.carrier.onUse = nil
    path?.carrier.connection = nil
    connection.close()
  }
}
