// The journey of a frame through one end of a connection:
//
//   in   the kernel → `receive`: the loop's scratch buffer, parsed where it lies → the owner's closure; the bytes that
//        one turn does not handle wait in a `ReceivedRest` for the connection's next turn in line
//   out  `send` by whichever thread has the frame: straight to the kernel, or what it does not take, or shall not have yet on a
//        slow path, to the `SendQueue` → `flush` by the owner's loop when the kernel takes more

public import Noise
internal import Synchronization
public import SystemIO
public import SystemPackage
internal import Wire

/// A stream socket that carries frames, and the queue of what it does not take at once.
public final class FrameConnection: @unchecked Sendable {
  // Set once.
  let descriptor: Descriptor
  let loop: EventLoop

  // Owned by the loop's thread.
  private(set) var isOpen = true
  var partial: PartialFrame?
  /// Called for the socket's events and for turns in line, from `attach` to `close`.
  private(set) var handler: (any EventHandler)?
  /// The bytes that the last turn did not handle.
  var rest: ReceivedRest?
  /// Whether the last turn ended before it had handled all bytes.
  var isCut: Bool { rest != nil }
  var isInLine = false
  /// Whether reading is suspended for a while, because the other end exceeded `controlRate`.
  var isPaused = false
  /// How many control, ping and pong frames the other end may send; `nil`: any number.
  public var controlRate: ControlRate?
  /// Set once the handshake is over.
  var receiveSeal: FrameSeal?
  /// When bytes were last received.
  public internal(set) var lastReceived = Instant.now()
  public internal(set) var received = Traffic()
  /// How many received frames carry data between devices.
  var receivedData = 0
  var keepalive = Keepalive()
  private var question = QuestionWatch()
  private var terms: KeepaliveTerms?
  /// How long the kernel lets data go unacknowledged, and the round trip when an echo request last waited long for its
  /// answer.
  private var userTimeout = Duration.zero
  private var slowRoundTrip = Duration.zero
  /// When `check` is to be called the next time, unless `onUse` is called before.
  public private(set) var nextCheck = Instant(nanoseconds: 0)
  /// Called when data goes after no look was due for long. To be set before `attach`.
  public var onUse: (() -> Void)?
  /// Whether `onUse` is to be called for data that comes; for data that is sent, `Sending` has another.
  private(set) var isQuiet = false
  /// Payloads longer than this, in bytes, are refused as soon as their header is here, whatever their type allows.
  public var payloadLimit = FrameHeader.maximumPayload

  // Guarded by its lock. The descriptor is written to under it, so that frames of several threads do not mix.
  private let sending: Mutex<Sending>

  private struct Sending: ~Copyable {
    var queue: SendQueue
    var registration: Registration?
    /// Set once the handshake is over.
    var seal: FrameSeal?
    /// What the loop was last told to wait for.
    var interest: Events = .readable
    var isClosed = false
    var isReading = true
    /// Closed because the other end does not read.
    var isCutOff = false
    var path: PathTuning
    var sent = Traffic()
    var sentData = 0
    var isQuiet = false
  }

  /// Takes over `descriptor`, a connected stream socket. At most `queueLimit` bytes of data frames wait for it, as far as
  /// `memory` has room for them.
  /// `choosesCongestionControl`: BBR on a slow path, where the kernel has it.
  public init(
    _ descriptor: consuming Descriptor, loop: EventLoop, queueLimit: Int, memory: SendMemory? = nil,
    choosesCongestionControl: Bool = true
  ) {
    self.descriptor = descriptor
    self.loop = loop
    sending = Mutex(
      Sending(
        queue: SendQueue(limit: queueLimit, memory: memory),
        path: PathTuning(choosesCongestionControl: choosesCongestionControl)))
  }

  // MARK: On the loop's thread

  /// Has `handler` called for what happens on the socket.
  public func attach(_ handler: any EventHandler) throws(Errno) {
    let registration = try loop.register(descriptor, for: .readable, handler: handler)
    self.handler = handler
    sending.withLock { sending in
      sending.registration = registration
      if !sending.queue.isEmpty { setInterest(&sending) }
    }
  }

  /// Seals control, ping and pong frames from now on, and expects the other end to; to be called once, between two frames.
  public func secure(sending: TransportKey, receiving: TransportKey) {
    precondition(loop.isCurrent)
    receiveSeal = FrameSeal(receiving)
    self.sending.withLock { $0.seal = FrameSeal(sending) }
  }

  /// Whether this end closed the connection because the other one does not read.
  var isCutOff: Bool { sending.withLock { $0.isCutOff } }

  /// Sends what waits; to be called when the socket is writable.
  public func flush() {
    precondition(loop.isCurrent)
    sending.withLock { sending in
      guard !sending.isClosed else { return }
      flush(&sending, at: .now())
      if sending.queue.isEmpty { setInterest(&sending) }
    }
  }

  private func flush(_ sending: inout Sending, at now: Instant) {
    let limit = sending.path.isTight ? sending.path.unsentLimit : nil
    // An error shows on the reading side as well, where it is handled.
    let sent = (try? sending.queue.flush(to: descriptor, at: now, unsentLimit: limit)) ?? 0
    sending.sent.bytes += sent
    sending.path.adapt(descriptor, sent: sent)
  }

  /// Looks whether the other end lives, to be called at `nextCheck`, or more often: asks for an echo when that is due.
  /// `wasAway`: nobody could look for so long that an answer may lie in the socket still (`KeepaliveTerms.isAbsence`).
  public func check(at now: Instant, wasAway: Bool, _ terms: KeepaliveTerms) throws(Lifelessness) {
    precondition(loop.isCurrent)
    // Bytes that were received and not handled yet show that the other end lives.
    if isPaused || rest != nil { lastReceived = now }
    let (sentData, roundTrip) = sending.withLock { sending in
      sending.queue.trim()
      return (sending.sentData, sending.path.roundTrip)
    }
    adapt(to: terms, max(roundTrip, slowRoundTrip))
    watchQuestion(at: now, terms)
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

  /// Has the kernel wait as long for acknowledgments as the terms and the path ask for.
  private func adapt(to terms: KeepaliveTerms, _ roundTrip: Duration) {
    let deadline = terms.deadline(roundTrip: roundTrip)
    guard self.terms != terms || deadline > userTimeout || deadline < userTimeout / 2 else { return }
    self.terms = terms
    userTimeout = deadline
    descriptor.setUserTimeout(deadline)
  }

  /// Sends a ping and notes where in the stream it ends.
  private func ask() {
    let outOfOrder = descriptor.tcpPath()?.outOfOrder ?? 0
    sendPing()
    let end = sending.withLock { $0.sent.bytes + $0.queue.urgentBytes }
    question = QuestionWatch(end: end, outOfOrder: outOfOrder)
  }

  /// Extends the time limit of an unanswered echo request to what the path's round trip needs.
  private func watchQuestion(at now: Instant, _ terms: KeepaliveTerms) {
    guard let asked = keepalive.askedAt, lastReceived <= asked else { return }
    let sent = sending.withLock { $0.sent.bytes }
    if question.note(acknowledged: sent - descriptor.undelivered()) { keepalive.startAnew(at: now) }
    guard now.since(asked) >= terms.patience / 2, let path = descriptor.tcpPath() else { return }
    slowRoundTrip = path.longRoundTrip
    keepalive.allow(terms.patience(roundTrip: slowRoundTrip))
  }

  /// Whether this connection is stuck because its largest packets do not get through. May be asked until `close`, also
  /// after an error.
  public func sizeProblem(at now: Instant) -> SizeProblem? {
    precondition(loop.isCurrent)
    guard let path else { return nil }
    return SizeProblem(path, keepalive.askedAt == nil ? nil : question, heard: now.since(lastReceived))
  }

  /// Whether the other end's kernel had received a ping at the last `check`, and nothing has been received since.
  public var isAnswerOverdue: Bool {
    keepalive.askedAt.map { lastReceived <= $0 } == true && question.isDelivered
  }

  /// Whether the other end's kernel has acknowledged everything that was sent.
  public var hasDelivered: Bool { descriptor.undelivered() == 0 }

  /// What the kernel knows of the path; `nil` if the connection does not use TCP.
  public var path: TCPPath? { descriptor.tcpPath() }

  /// Gives back the send queue's memory if nothing waits.
  public func trim() {
    sending.withLock { $0.queue.trim() }
  }

  /// How long a whole frame may take to come, once it has begun.
  static let frameTime = Duration.seconds(60)

  /// Data goes again.
  func beUsed() {
    guard isOpen, isQuiet else { return }
    isQuiet = false
    sending.withLock { $0.isQuiet = false }
    nextCheck = Instant(nanoseconds: 0)
    onUse?()
  }

  /// Asks for an echo at once. If nothing is received within `patience`, `check` finds the other end dead.
  public func probe(at now: Instant, patience: Duration) {
    precondition(loop.isCurrent)
    keepalive.probe(at: now, patience: patience)
    ask()
  }

  /// Ends the connection. What waits is dropped, but bytes that the kernel took still go out. Within `receive`, nothing more
  /// is delivered.
  public func close() {
    precondition(loop.isCurrent)
    guard isOpen else { return }
    isOpen = false
    rest = nil
    onUse = nil
    handler = nil
    let registration = sending.withLock { sending in
      sending.isClosed = true
      sending.queue.removeAll()
      return sending.registration
    }
    // Without the lock: this lets go of the handler, whose end may use this connection.
    if let registration { loop.deregister(descriptor, registration) }
    descriptor.shutDown()
  }

  // MARK: From any thread

  /// How many bytes the path takes in a few milliseconds, where that is little: a longer frame holds all others up. `nil` on a fast
  /// path.
  public var shortRun: Int? {
    sending.withLock { $0.path.shortRun }
  }

  /// Sends whole data frames; what the socket does not take at once waits, fairly by flow, or is dropped.
  public func send(_ run: FrameRun) {
    sending.withLock { sending in
      guard !sending.isClosed else { return }
      sending.sent.frames += run.frames
      sending.sentData += run.frames
      if sending.isQuiet {
        sending.isQuiet = false
        loop.post { self.beUsed() }
      }
      var sent = 0
      let isFirst = sending.queue.isEmpty
      if isFirst, !sending.path.isTight || run.count <= sending.path.unsentLimit - descriptor.unsent() {
        guard
          let count = attempt({ () throws(Errno) in
            run.second.count == 0
              ? try descriptor.send(run.first) : try descriptor.send(run.first, then: run.second)
          })
        else { return }
        sent = count
        sending.sent.bytes += sent
        sending.path.adapt(descriptor, sent: sent)
        if sent == run.count { return }
      }
      let now = Instant.now()
      var end = 0
      run.eachFrame { frame, header in
        let start = end
        end += frame.count
        if start >= sent {
          sending.queue.add(frame, flow: header.flow, at: now)
        } else if end > sent {
          sending.queue.addRest(UnsafeRawBufferPointer(rebasing: frame[(sent - start)...]), at: now)
        }
      }
      if isFirst, sending.path.isTight { flush(&sending, at: now) }
      if !sending.queue.isEmpty { setInterest(&sending) }
    }
  }

  /// Sends a frame that is not data, sealed once the handshake is over, before all data that waits. A destination that does
  /// not read so much as these is cut off.
  ///
  /// `first` runs under the send lock: make the session visible there, so that no other thread's frame precedes this
  /// one.
  public func send(control frame: [UInt8], first: () -> Void = {}) {
    sending.withLock { sending in
      first()
      guard !sending.isClosed else { return }
      sending.sent.frames += 1
      let frame = sending.seal?.seal(frame) ?? frame
      frame.withUnsafeBytes { frame in
        var sent = 0
        if sending.queue.isEmpty {
          guard let count = attempt({ () throws(Errno) in try descriptor.send(frame) }) else { return }
          sent = count
          sending.sent.bytes += sent
          if sent == frame.count { return }
        }
        let now = Instant.now()
        if sent > 0 {
          sending.queue.addRest(UnsafeRawBufferPointer(rebasing: frame[sent...]), at: now)
        } else if !sending.queue.addControl(frame, at: now) {
          sending.isCutOff = true
          descriptor.shutDown()
          return
        }
        setInterest(&sending)
      }
    }
  }

  /// Sends a message of the handshake, in the clear as far as this connection is concerned.
  public func send(handshake message: [UInt8]) {
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes { FrameHeader(type: .handshake, length: message.count).write(to: $0) }
    send(control: frame + message)
  }

  /// From now on at most so many bytes of data frames wait; what waits already stays.
  public func setQueueLimit(_ limit: Int) {
    sending.withLock { $0.queue.limit = limit }
  }

  /// Whether the kernel has all that was to be sent.
  public var hasSentAll: Bool {
    sending.withLock { $0.isClosed || $0.queue.isEmpty }
  }

  /// Whether the other end has all that was to be sent, its kernel at least. On the loop's thread.
  public var hasDeliveredAll: Bool {
    precondition(loop.isCurrent)
    return !isOpen || hasSentAll && descriptor.undelivered() == 0
  }

  /// What was sent so far, and how the queue does.
  public var sendStatistics: (traffic: Traffic, queue: SendQueueStatistics) {
    sending.withLock { ($0.sent, $0.queue.statistics) }
  }

  /// Tries a send: the bytes taken, or `nil` if the connection is broken, which its reading side will see.
  private func attempt(_ call: () throws(Errno) -> Int?) -> Int? {
    do {
      return try call() ?? 0
    } catch {
      return nil
    }
  }

  /// Has the loop report readable bytes, or not.
  func setReading(_ isReading: Bool) {
    sending.withLock { sending in
      sending.isReading = isReading
      setInterest(&sending)
    }
  }

  /// Has the loop wait for the events that are needed now.
  private func setInterest(_ sending: inout Sending) {
    var events: Events = sending.isReading ? .readable : []
    if !sending.queue.isEmpty { events.insert(.writable) }
    guard let registration = sending.registration, sending.interest != events else { return }
    sending.interest = events
    loop.setInterest(events, of: descriptor, registration)
  }
}
