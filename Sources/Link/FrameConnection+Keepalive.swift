// How a connection finds out whether its other end lives: echo requests, and the kernel's acknowledgments.

internal import Synchronization
public import SystemIO
internal import Wire

// On the loop's thread.
extension FrameConnection {
  /// Checks whether the other end lives, and sends an echo request when one is due. Call it at `nextCheck`, or more
  /// often. `wasAway`: the last check was so long ago that an answer may be unread in the socket
  /// (`KeepaliveTerms.isAbsence`).
  public func check(at now: Instant, wasAway: Bool, _ terms: KeepaliveTerms) throws(Lifelessness) {
    precondition(loop.isCurrent)
    // Received bytes that are not handled yet show that the other end lives.
    if isPaused || rest != nil { lastReceived = now }
    let (sentData, roundTrip) = sending.withLock { sending in
      sending.queue.trim()
      return (sending.sentData, sending.path.roundTrip)
    }
    adaptUserTimeout(to: terms, max(roundTrip, slowRoundTrip))
    watchEcho(at: now, terms)
    switch keepalive.check(
      at: now, received: lastReceived, dataFrames: receivedData + sentData, wasAway: wasAway, terms)
    {
    case .fine: break
    case .ask: ask()
    case .dead:
      if let problem = sizeProblem(at: now) { throw .blocked(problem) }
      throw isAnswerOverdue ? .unanswered(now.since(lastReceived)) : .silent(now.since(lastReceived))
    }
    if let partial, !wasAway, !isPaused, now.since(partial.since) >= Self.frameTime {
      throw .stalled(now.since(partial.since))
    }
    nextCheck = keepalive.nextCheck(after: now, received: lastReceived, terms)
    if let partial { nextCheck = min(nextCheck, partial.since.advanced(by: Self.frameTime)) }
    let isQuiet = keepalive.isQuiet(at: now, terms)
    guard isQuiet != self.isQuiet else { return }
    self.isQuiet = isQuiet
    let hasSentMore = sending.withLock { sending in
      sending.isQuiet = isQuiet
      return sending.sentData != sentData
    }
    if hasSentMore { beUsed() }
  }

  /// Sets the kernel's time limit for acknowledgments to what the terms and the path need.
  private func adaptUserTimeout(to terms: KeepaliveTerms, _ roundTrip: Duration) {
    let deadline = terms.deadline(roundTrip: roundTrip)
    guard self.terms != terms || deadline > userTimeout || deadline < userTimeout / 2 else { return }
    self.terms = terms
    userTimeout = deadline
    descriptor.setUserTimeout(deadline)
  }

  private func ask() {
    let outOfOrder = descriptor.tcpPath()?.outOfOrder ?? 0
    sendPing()
    let end = sending.withLock { $0.sent.bytes + $0.queue.urgentBytes }
    echoWatch = EchoWatch(end: end, outOfOrder: outOfOrder)
  }

  /// Extends the time limit of an unanswered echo request to what the path's round trip needs.
  private func watchEcho(at now: Instant, _ terms: KeepaliveTerms) {
    guard let asked = keepalive.askedAt, lastReceived <= asked else { return }
    let sent = sending.withLock { $0.sent.bytes }
    if echoWatch.note(acknowledged: sent - descriptor.undelivered()) { keepalive.startAnew(at: now) }
    guard now.since(asked) >= terms.patience / 2, let path = descriptor.tcpPath() else { return }
    slowRoundTrip = path.longRoundTrip
    keepalive.allow(terms.patience(roundTrip: slowRoundTrip))
  }

  /// Whether this connection is stuck because its largest packets do not get through. Valid until `close`, also after
  /// an error.
  public func sizeProblem(at now: Instant) -> SizeProblem? {
    precondition(loop.isCurrent)
    guard let path else { return nil }
    return SizeProblem(path, keepalive.askedAt == nil ? nil : echoWatch, heard: now.since(lastReceived))
  }

  /// Whether the other end's kernel had received a ping at the last `check`, but nothing was received since.
  public var isAnswerOverdue: Bool {
    keepalive.askedAt.map { lastReceived <= $0 } == true && echoWatch.isDelivered
  }

  /// How long receiving one frame may take.
  static let frameTime = Duration.seconds(60)

  /// The connection carries data again.
  func beUsed() {
    guard isOpen, isQuiet else { return }
    isQuiet = false
    sending.withLock { $0.isQuiet = false }
    nextCheck = Instant(nanoseconds: 0)
    onUse?()
  }

  /// Sends an echo request at once. If nothing is received within `patience`, `check` finds the other end dead.
  public func probe(at now: Instant, patience: Duration) {
    precondition(loop.isCurrent)
    keepalive.ask(at: now, patience)
    ask()
  }

  /// Sends an echo request.
  public func sendPing() {
    keepalive.hasAsked()
    let time = withUnsafeBytes(of: Instant.now().nanoseconds) { Array($0) }
    send(control: FrameHeader.frame(.ping, payload: time))
  }

  /// Answers a ping with its payload.
  public func send(pongFor payload: UnsafeRawBufferPointer) {
    keepalive.wasAsked()
    send(control: FrameHeader.frame(.pong, payload: Array(payload)))
  }
}

/// An echo request carries the time in nanoseconds at which it was sent. Only the sender can read it, and gets it back
/// in the pong.
public enum PingFrame {
  /// How long ago the ping of this pong was sent; `nil` if it was not one of ours.
  public static func roundTrip(_ pong: UnsafeRawBufferPointer) -> Duration? {
    guard pong.count == MemoryLayout<UInt64>.size else { return nil }
    return Instant.now().since(Instant(nanoseconds: pong.loadUnaligned(as: UInt64.self)))
  }
}
