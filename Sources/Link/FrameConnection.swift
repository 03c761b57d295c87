// The journey of a frame through one end of a connection:
//
//   in   the kernel → `receive`: the loop's scratch buffer, parsed in place → the owner's closure; bytes that one turn
//        does not handle wait in a `ReceivedRest` for the connection's next turn in line
//   out  `send` on any thread: straight to the kernel; what the kernel does not take, or shall not have yet on a slow
//        path, to the `SendQueue` → `flush` on the loop's thread when the kernel takes more

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
  /// Called for the socket's events and for turns in line; set from `attach` to `close`.
  private(set) var handler: (any EventHandler)?
  /// The bytes that the last turn did not handle.
  var rest: ReceivedRest?
  var isInLine = false
  /// Whether reading pauses because the other end exceeded `controlRate`.
  var isPaused = false
  /// Whether the owner holds received frames back.
  var isHeld = false
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
  var echoWatch = EchoWatch()
  var terms: KeepaliveTerms?
  /// How long the kernel waits for acknowledgments, and the round trip when an echo request last waited long for its
  /// answer.
  var userTimeout = Duration.zero
  var slowRoundTrip = Duration.zero
  /// When to call `check` next, unless `onUse` is called before.
  public internal(set) var nextCheck = Instant(nanoseconds: 0)
  /// Called when a connection that was quiet carries data again, so that `nextCheck` is now. Set it before `attach`.
  public var onUse: (() -> Void)?
  /// Whether received data calls `onUse`; `Sending` has the same for sent data.
  var isQuiet = false
  /// In bytes. A longer payload is refused as soon as its header is received, even if its type allows it.
  public var payloadLimit = FrameHeader.maximumPayload

  // Guarded by its lock, under which the descriptor is also written, so that frames of several threads do not mix.
  let sending: Mutex<Sending>

  struct Sending: ~Copyable {
    var queue: SendQueue
    var registration: Registration?
    /// Set once the handshake is over.
    var seal: FrameSeal?
    /// The events that the loop waits for.
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

  /// Takes over `descriptor`, a connected stream socket. At most `queueLimit` bytes of data frames wait for it, and
  /// fewer where `memory` has no more. `choosesCongestionControl`: use BBR on a slow path, where the kernel has it.
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

  /// Registers `handler` for the socket's events.
  public func attach(_ handler: any EventHandler) throws(Errno) {
    let registration = try loop.register(descriptor, for: .readable, handler: handler)
    self.handler = handler
    sending.withLock { sending in
      sending.registration = registration
      if !sending.queue.isEmpty { setInterest(&sending) }
    }
  }

  /// Seals control, ping and pong frames from now on, and expects sealed ones. Call it once, between two frames.
  public func secure(sending: TransportKey, receiving: TransportKey) {
    precondition(loop.isCurrent)
    receiveSeal = FrameSeal(receiving)
    self.sending.withLock { $0.seal = FrameSeal(sending) }
  }

  /// Whether this end closed the connection because the other one does not read.
  var isCutOff: Bool { sending.withLock { $0.isCutOff } }

  /// Sends what waits; call it when the socket is writable.
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
    // The reading side sees the same error and handles it.
    let sent = (try? sending.queue.flush(to: descriptor, at: now, unsentLimit: limit)) ?? 0
    sending.sent.bytes += sent
    sending.path.adapt(descriptor, sent: sent)
  }

  /// Whether the other end's kernel has acknowledged everything that was sent.
  public var hasDelivered: Bool { descriptor.undelivered() == 0 }

  /// The kernel's measurements of the path; `nil` if the connection does not use TCP.
  public var path: TCPPath? { descriptor.tcpPath() }

  /// Returns the send queue's memory if nothing waits.
  public func trim() {
    sending.withLock { $0.queue.trim() }
  }

  /// Ends the connection. Drops the send queue; the kernel still sends what it has. Within `receive`, delivers nothing
  /// more.
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
    // Not under the lock: this releases the handler, whose deinitializer may use this connection.
    if let registration { loop.deregister(descriptor, registration) }
    descriptor.shutDown()
  }

  // MARK: From any thread

  /// On a slow path, how many bytes it takes in a few milliseconds: a longer frame delays all others. `nil` on a fast
  /// path.
  public var shortRun: Int? {
    sending.withLock { $0.path.shortRun }
  }

  /// Sends whole data frames. What the socket does not take at once is queued, fairly by flow, or dropped.
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
        // The reading side sees an error, too, and handles it.
        let isOne = run.second.count == 0
        guard
          let count = try? (isOne ? descriptor.send(run.first) : descriptor.send(run.first, then: run.second)) ?? 0
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

  /// Sends a frame that is not data, sealed once the handshake is over, before all queued data. If too many of these
  /// wait, the connection ends.
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
          guard let count = try? descriptor.send(frame) ?? 0 else { return }
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

  /// Sends a message of the handshake, which this connection does not seal.
  public func send(handshake message: [UInt8]) {
    send(control: FrameHeader.frame(.handshake, payload: message))
  }

  /// Limits the bytes of data frames that wait; frames that already wait stay.
  public func setQueueLimit(_ limit: Int) {
    sending.withLock { $0.queue.limit = limit }
  }

  /// Whether the kernel has all sent bytes.
  public var hasSentAll: Bool {
    sending.withLock { $0.isClosed || $0.queue.isEmpty }
  }

  /// Whether the other end's kernel has all sent bytes. On the loop's thread.
  public var hasDeliveredAll: Bool {
    precondition(loop.isCurrent)
    return !isOpen || hasSentAll && descriptor.undelivered() == 0
  }

  public var sendStatistics: (traffic: Traffic, queue: SendQueueStatistics) {
    sending.withLock { ($0.sent, $0.queue.statistics) }
  }

  /// Whether the loop reports readable bytes.
  func setReading(_ isReading: Bool) {
    sending.withLock { sending in
      sending.isReading = isReading
      setInterest(&sending)
    }
  }

  /// Tells the loop which events to wait for now.
  private func setInterest(_ sending: inout Sending) {
    var events: Events = sending.isReading ? .readable : []
    if !sending.queue.isEmpty { events.insert(.writable) }
    guard let registration = sending.registration, sending.interest != events else { return }
    sending.interest = events
    loop.setInterest(events, of: descriptor, registration)
  }
}

/// Whole frames for one destination in at most two pieces of memory, which it does not own.
public struct FrameRun: @unchecked Sendable {
  // `@unchecked`: a callee uses a run only during the call, while its caller holds the memory.
  public private(set) var first = UnsafeRawBufferPointer(start: nil, count: 0)
  public private(set) var second = UnsafeRawBufferPointer(start: nil, count: 0)
  public private(set) var frames = 0

  public init() {}

  public init(_ bytes: UnsafeRawBufferPointer, frames: Int) {
    first = bytes
    self.frames = frames
  }

  public var isEmpty: Bool { frames == 0 }
  public var count: Int { first.count + second.count }

  /// Adds `frame` if it continues the last piece or can begin a second one. False: send the run first.
  public mutating func append(_ frame: UnsafeRawBufferPointer) -> Bool {
    if frames == 0 {
      first = frame
    } else if second.count > 0 {
      guard frame.baseAddress == second.baseAddress! + second.count else { return false }
      second = UnsafeRawBufferPointer(start: second.baseAddress, count: second.count + frame.count)
    } else if frame.baseAddress == first.baseAddress! + first.count {
      first = UnsafeRawBufferPointer(start: first.baseAddress, count: first.count + frame.count)
    } else {
      second = frame
    }
    frames += 1
    return true
  }

  func eachFrame(_ body: (UnsafeRawBufferPointer, FrameHeader) -> Void) {
    Self.eachFrame(of: first, body)
    Self.eachFrame(of: second, body)
  }

  private static func eachFrame(
    of piece: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, FrameHeader) -> Void
  ) {
    var offset = 0
    while offset < piece.count {
      guard case .frame(let header)? = try? FrameScan(piece.bytes, at: offset) else {
        preconditionFailure("a run holds whole frames that were read or written before")
      }
      body(UnsafeRawBufferPointer(rebasing: piece[offset..<offset + header.frameSize]), header)
      offset += header.frameSize
    }
  }
}
