internal import SystemIO

/// A connection of one client: one request, then its answer, or after `subscribe` a stream of events. Owned by the
/// loop's thread.
final class ControlSession: StreamConnection {
  // Set once.
  private let peer: PeerCredentials
  private let handler: ControlServer.Handler
  private let maySubscribe: (ControlSession) -> Bool

  // Owned by the loop's thread.
  private var request: [UInt8] = []
  private var stream: Stream?
  /// Lines that wait until the socket has taken those before them.
  private var waiting: [UInt8] = []

  /// A subscriber's stream. If the subscriber does not read, the session drops the waiting lines, and sends a snapshot
  /// once it reads again.
  private enum Stream {
    /// The daemon makes the snapshot, which will contain the events until then.
    case awaitsSnapshot
    case isUpToDate
    /// Lines were lost.
    case isBehind
  }

  /// Limits for receiving a request, and for making and sending its answer.
  private static let requestTime = Duration.seconds(5)
  private static let answerTime = Duration.seconds(60)
  /// Of `waiting`, in bytes.
  private static let maximumWaiting = 256 << 10

  var user: UInt32 { peer.user }
  var isSubscriber: Bool { stream != nil }

  /// `maySubscribe` is false while there are too many subscribers.
  init(
    _ socket: consuming Descriptor, _ peer: PeerCredentials, on events: EventLoop,
    _ handler: @escaping ControlServer.Handler, maySubscribe: @escaping (ControlSession) -> Bool
  ) {
    self.peer = peer
    self.handler = handler
    self.maySubscribe = maySubscribe
    super.init(socket, on: events)
    end(after: Self.requestTime)
  }

  // MARK: One request, one answer

  override func received(_ bytes: UnsafeRawBufferPointer) {
    request += bytes
    if let newline = request.firstIndex(of: UInt8(ascii: "\n")) {
      carryOut(request[..<newline])
    } else if request.count > ControlCommand.maximumRequest {
      reply(.failed(ControlError(.badRequest, "the request is longer than \(ControlCommand.maximumRequest) bytes")))
    }
  }

  private func carryOut(_ line: ArraySlice<UInt8>) {
    // The session ignores further bytes, but the loop still reports the end of the connection.
    isReading = false
    do throws(ControlError) {
      let command = try ControlRequest(parsing: line).command
      try checkRight(to: command.kind)
      if command == .subscribe {
        guard maySubscribe(self) else { throw ControlError(.busy, "too many programs listen at once; try again later") }
        end(after: nil)
        return askForSnapshot()
      }
      end(after: Self.answerTime + command.patience)
      let session = LoopBound(self)
      handler(command) { [events] answer in events.post { session.value.reply(answer) } }
    } catch {
      reply(.failed(error))
    }
  }

  private func checkRight(to kind: ControlCommand.Kind) throws(ControlError) {
    let owner = currentUser()
    guard kind.audience == .owner, peer.user != 0, peer.user != owner else { return }
    let others = owner == 0 ? "" : " and the daemon's own user (\(User.name(of: owner)))"
    throw ControlError(
      .denied, "\(kind.typed) is for root\(others), and you are \(User.name(of: peer.user)); run as root")
  }

  private func reply(_ answer: ControlAnswer) {
    isReading = false
    if case .file(_, let file) = answer { return send(answer.line, with: file) }
    send(answer.line)
  }

  // MARK: A stream of lines

  private func askForSnapshot() {
    stream = .awaitsSnapshot
    let session = LoopBound(self)
    // Not posted if it need not be: events published after the snapshot was made must follow it.
    handler(.subscribe) { [events] answer in
      if events.isCurrent { return session.value.takeSnapshot(answer) }
      events.post { session.value.takeSnapshot(answer) }
    }
  }

  private func takeSnapshot(_ answer: ControlAnswer) {
    guard case .awaitsSnapshot? = stream else { return }
    guard case .report(let report) = answer else {
      stream = nil
      return reply(answer)
    }
    stream = .isUpToDate
    send(JSON.line(report))
  }

  /// Sends the line, or keeps it until the lines before it are sent.
  func publish(_ line: [UInt8]) {
    guard case .isUpToDate? = stream else { return }
    if hasSentAll {
      send(line)
    } else if waiting.count + line.count <= Self.maximumWaiting {
      waiting += line
    } else {
      waiting = []
      stream = .isBehind
    }
  }

  override func sentAll() {
    guard let stream else { return end() }
    let lines = waiting
    waiting = []
    if !lines.isEmpty {
      send(lines)
    } else if case .isBehind = stream {
      askForSnapshot()
    }
  }
}
