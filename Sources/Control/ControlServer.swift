// `/run/mnedc` has mode 01775: the unprivileged relay has to remove its own socket, and must not remove that of
// `mnedc-join`. The units make the directory themselves, because `RuntimeDirectory=` would give it to the user of
// whichever daemon started last.

public import SystemIO
public import SystemPackage

/// Answers requests on the daemon's local sockets. Owned by its loop's thread.
///
/// There are two. Any user may connect to the one at the daemon's path, and its queue of connections that wait to be
/// accepted can be filled by any of them. The kernel lets only root and the daemon's own user connect to the other one
/// (mode 0600), so no other user's connections ever wait before theirs.
public final class ControlServer {
  /// Carries out a command and gives the answer to the last argument, once, on any thread.
  public typealias Handler = (ControlCommand, @escaping @Sendable (ControlAnswer) -> Void) -> Void

  // Set once.
  private let events: EventLoop
  private let handler: Handler
  private let onTrouble: (Errno) -> Void

  // Owned by the loop's thread.
  private var troubles = RateLimit(perSecond: 1.0 / 60, burst: 1)
  // A small batch and a pause: a program that connects in a loop gets a fraction of this thread's time.
  private lazy var server = StreamServer<ControlSession>(
    on: events, maximum: .max, batch: 32, batchPause: .milliseconds(5),
    onTrouble: { [unowned self] error in
      if troubles.allow(at: .now()) { onTrouble(error) }
    },
    { [unowned self] socket, _ in admit(socket) })

  /// How many clients may ask at once, and how many of them may be of one user. Root has twice as many for itself, so
  /// that no user keeps root out.
  private static let maximumClients = 64
  private static let maximumClientsOfOneUser = 8
  /// Subscribers are counted apart, so that they keep nobody from asking.
  private static let maximumSubscribers = 16
  /// Where the sockets of the suite's daemons are.
  public static let directory = "/run/mnedc"

  /// The socket of root and the daemon's own user, beside the one at `path`.
  public static func ownersPath(_ path: String) -> String { "\(path).root" }

  /// Listens at `path` from now on; `heir` is the user that this process will become. `onTrouble` is told why clients
  /// cannot be answered, at most once a minute.
  public init(
    path: String, for heir: User? = nil, on events: EventLoop, onTrouble: @escaping (Errno) -> Void = { _ in },
    _ handler: @escaping Handler
  ) throws {
    self.events = events
    self.handler = handler
    self.onTrouble = onTrouble
    func listen(at path: String, mode: UInt32) throws {
      let socket = try UnixListener(path: path, mode: mode, for: heir, shared: Self.directory)
      _ = try server.listen(on: .local(socket))
    }
    do {
      // Any user may connect. The server checks for each command whether that user may give it.
      try listen(at: path, mode: 0o666)
      do {
        try listen(at: Self.ownersPath(path), mode: 0o600)
      } catch UnixListenerError.pathTooLong {
        // Root uses the other one, as long as nobody fills its queue.
      }
    } catch {
      // The loop keeps the first listener, which refers to the server.
      server.stop()
      throw error
    }
  }

  private func admit(_ socket: consuming Descriptor) -> ControlSession? {
    guard let peer = try? socket.peerCredentials() else { return nil }
    let session = ControlSession(socket, peer, on: events, handler) { [weak self] session in
      guard let self else { return false }
      return !isFull(server.connections.filter(\.isSubscriber), for: session.user, Self.maximumSubscribers)
    }
    guard !isFull(server.connections.filter { !$0.isSubscriber }, for: peer.user, Self.maximumClients) else {
      session.refuse(ControlAnswer.failed(.tooMany).line)
      return nil
    }
    return session
  }

  private func isFull(_ sessions: [ControlSession], for user: UInt32, _ maximum: Int) -> Bool {
    if user == 0 { return sessions.count >= 2 * maximum }
    return sessions.count >= maximum || sessions.count { $0.user == user } >= Self.maximumClientsOfOneUser
  }

  /// Whether any client has subscribed to events.
  public var hasSubscribers: Bool { server.connections.contains(where: \.isSubscriber) }

  /// Sends the event to all subscribers. The handler answers `subscribe` with the snapshot that comes before; the
  /// server asks it again for a subscriber that has not read in time.
  public func publish(_ event: PeerEventReport) {
    guard hasSubscribers else { return }
    let line = JSON.line(event)
    for session in server.connections.filter(\.isSubscriber) { session.publish(line) }
  }

  /// Stops listening. The rest of answers that have begun is sent, though the loop may not run any more; a client that
  /// does not take it within a second goes without.
  public func stop() {
    for session in server.connections.filter(\.isSubscriber) { session.end() }
    server.stop(sendingUntil: Instant.now().advanced(by: .seconds(1)))
  }
}

/// The result of a command.
public enum ControlAnswer: Sendable {
  case report(any Codable & Sendable)
  /// With an open file, whose descriptor the client receives.
  case file(any Codable & Sendable, OpenFile)
  case done
  case failed(ControlError)

  var line: [UInt8] {
    switch self {
    case .report(let report), .file(let report, _): Self.line(report)
    case .done: Self.line(Done())
    case .failed(let error): JSON.line(ControlResponse<Done>(error: error))
    }
  }

  private static func line(_ report: some Codable) -> [UInt8] {
    ControlResponse(result: report).line
  }
}
