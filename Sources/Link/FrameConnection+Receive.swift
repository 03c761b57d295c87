// A connection reads and handles frames in turns, so that one that sends a lot does not delay the others of its loop.

public import SystemIO
internal import SystemPackage
public import Wire

// On the loop's thread.
extension FrameConnection {
  /// Handles one turn's share of the received bytes: calls `deliver` with each whole frame, which it may change in
  /// place, and at last `finish`, if anything was received. The frames' memory is valid until `finish` has returned.
  ///
  /// `events` are the socket's; none if this is the connection's turn in line. A connection with more bytes than one
  /// turn handles takes its next turn in line. One that has not joined takes every turn in line, because handshakes are
  /// expensive.
  public func receive(
    _ events: Events = [], using memory: ReceiveMemory,
    deliver: (UnsafeMutableRawBufferPointer, FrameHeader) throws(WireError) -> Void,
    finish: () -> Void
  ) throws(ReceiveError) {
    precondition(loop.isCurrent)
    guard isOpen, try isTurn(events) else { return }
    do {
      try receiveFrames(using: memory, deliver: deliver, finish: finish)
    } catch {
      switch error {
      case let error as Errno: throw .system(error)
      case let error as WireError: throw .wire(error)
      case let error as ReceiveError: throw error
      default: preconditionFailure("no other error is thrown")
      }
    }
  }

  private func isTurn(_ events: Events) throws(ReceiveError) -> Bool {
    if events.isEmpty {
      isInLine = false
      return !isPaused && !isHeld
    }
    guard events.contains(.readable) || events.contains(.hangup) else { return false }
    if isPaused || isHeld {
      // The loop would report the hangup again and again until the pause ends.
      if events.contains(.hangup) { throw isCutOff ? .unread : .closed }
      return false
    }
    guard rest != nil || isAboutToJoin else { return true }
    standInLine()
    return false
  }

  private var isAboutToJoin: Bool { payloadLimit < FrameHeader.maximumPayload }

  /// Whether bytes that were read wait for the next turn.
  package var hasRest: Bool { rest != nil }

  private func standInLine() {
    guard !isInLine, let handler else { return }
    isInLine = true
    loop.standInLine(handler)
  }

  private func endTurn(_ turn: ReceiveTurn) throws(ReceiveError) {
    guard isOpen else { return }
    if turn.controlCost > 0, controlRate != nil {
      switch controlRate!.take(turn.controlCost, at: .now()) {
      case .fine: break
      case .pause(let time): return pause(for: time)
      case .end: throw .flood(perSecond: controlRate!.perSecond)
      }
    }
    if rest != nil, !isHeld { standInLine() }
  }

  /// Delivers no frame behind the present one, until `release`. For a short time: nothing is read meanwhile.
  public func hold() {
    precondition(loop.isCurrent)
    isHeld = true
    setReading(false)
  }

  public func release() {
    precondition(loop.isCurrent)
    guard isHeld else { return }
    isHeld = false
    guard isOpen, !isPaused else { return }
    setReading(true)
    if rest != nil { standInLine() }
  }

  private func pause(for time: Duration) {
    isPaused = true
    setReading(false)
    loop.schedule(after: time) { [self] in
      isPaused = false
      guard isOpen, !isHeld else { return }
      setReading(true)
      if rest != nil { standInLine() }
    }
  }

  private func receiveFrames(
    using memory: ReceiveMemory, deliver: (UnsafeMutableRawBufferPointer, FrameHeader) throws(WireError) -> Void,
    finish: () -> Void
  ) throws {
    if let rest {
      defer {
        finish()
        withExtendedLifetime(rest) {}
      }
      lastReceived = .now()
      var turn = ReceiveTurn(from: lastReceived)
      let end = try parse(rest.bytes, since: nil, memory, &turn, deliver: deliver)
      if let end { rest.drop(end) } else { self.rest = nil }
      return try endTurn(turn)
    }
    let scratch = memory.scratch(isSmall: isAboutToJoin)
    var end = 0  // of what scratch holds
    var completed: PartialFrame?
    /// When the first byte in scratch was received.
    var since: Instant?
    if let partial, partial.needed > 0 {
      // The rest of the frame goes behind its beginning, the bytes that follow it to the scratch buffer.
      let room = UnsafeMutableRawBufferPointer(rebasing: partial.bytes[partial.filled..<partial.needed])
      guard let count = try read({ () throws(Errno) in try descriptor.read(into: room, then: scratch) }) else { return }
      partial.filled += min(count, room.count)
      guard partial.filled == partial.needed else { return }
      end = count - room.count
      completed = partial
      self.partial = nil
    } else {
      // Less than a header was received before; it moves to the front.
      let start = partial?.filled ?? 0
      since = partial?.since
      if let partial {
        scratch.copyMemory(from: UnsafeRawBufferPointer(rebasing: partial.bytes[..<start]))
        memory.giveBack(partial)
        self.partial = nil
      }
      let room = UnsafeMutableRawBufferPointer(rebasing: scratch[start...])
      let beginning = UnsafeRawBufferPointer(rebasing: scratch[..<start])
      guard let count = try read(after: beginning, { () throws(Errno) in try descriptor.read(into: room) }) else {
        keepPartial(beginning, needed: 0, since: since, memory)
        return
      }
      end = start + count
    }
    defer {
      finish()
      if let completed { memory.giveBack(completed) }
    }
    var turn = ReceiveTurn(from: lastReceived)
    if let completed {
      let frame = UnsafeMutableRawBufferPointer(rebasing: completed.bytes[..<completed.needed])
      let header = try FrameHeader(parsing: UnsafeRawBufferPointer(frame).bytes)
      try open(frame, header, deliver)
      turn.count(header.type, header.length)
    }
    let bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<end])
    let turnEnd = try parse(bytes, since: since, memory, &turn, deliver: deliver)
    if let turnEnd, isOpen { rest = ReceivedRest(UnsafeRawBufferPointer(rebasing: bytes[turnEnd...]), memory) }
    try endTurn(turn)
  }

  /// Returns where the turn ended, or `nil` if no bytes are left.
  private func parse(
    _ bytes: UnsafeMutableRawBufferPointer, since: Instant?, _ memory: ReceiveMemory, _ turn: inout ReceiveTurn,
    deliver: (UnsafeMutableRawBufferPointer, FrameHeader) throws(WireError) -> Void
  ) throws(WireError) -> Int? {
    var offset = 0
    while isOpen, offset < bytes.count {
      if turn.isOver || isHeld { return offset }
      switch try scan(UnsafeRawBufferPointer(bytes).bytes, at: offset) {
      case .frame(let header) where header.length > payloadLimit:
        throw .oversizedFrame(header.type, header.length)
      case .partial(let needed) where needed > FrameHeader.size + payloadLimit:
        throw .badMessage("a frame of \(needed) bytes is too long here")
      case .frame(let header):
        try open(UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + header.frameSize]), header, deliver)
        turn.count(header.type, header.length)
        offset += header.frameSize
      case .partial(let needed):
        let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        keepPartial(
          rest, needed: rest.count < FrameHeader.size ? 0 : needed, since: offset == 0 ? since : nil, memory)
        return nil
      }
    }
    return nil
  }

  private func scan(_ bytes: RawSpan, at offset: Int) throws(WireError) -> FrameScan {
    do {
      return try FrameScan(bytes, at: offset)
    } catch {
      guard received.frames == 0, offset == 0, let other = ForeignProtocol(bytes) else { throw error }
      throw .foreign(other)
    }
  }

  /// The other protocol that the other end speaks, if the first bytes show it.
  public var foreignProtocol: ForeignProtocol? {
    guard received.frames == 0, let partial else { return nil }
    return ForeignProtocol(UnsafeRawBufferPointer(rebasing: partial.bytes[..<partial.filled]).bytes)
  }

  private func open(
    _ frame: UnsafeMutableRawBufferPointer, _ header: FrameHeader,
    _ deliver: (UnsafeMutableRawBufferPointer, FrameHeader) throws(WireError) -> Void
  ) throws(WireError) {
    received.frames += 1
    if !header.type.isSealedByLink {
      receivedData += 1
      if isQuiet { beUsed() }
    }
    guard header.type.isSealedByLink, receiveSeal != nil else { return try deliver(frame, header) }
    guard let (frame, header) = receiveSeal!.open(frame, header) else { throw .notAuthentic(header.type) }
    try deliver(frame, header)
  }

  /// `beginning` is the part of a header that was received before.
  private func read(
    after beginning: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    _ call: () throws(Errno) -> Int?
  ) throws -> Int? {
    guard let count = try call() else { return nil }
    guard count > 0 else {
      if received.frames == 0, let other = ForeignProtocol(beginning.bytes) { throw WireError.foreign(other) }
      throw isCutOff ? ReceiveError.unread : .closed
    }
    lastReceived = .now()
    received.bytes += count
    return count
  }

  /// `since` is when the first of these bytes was received; `nil`: in this turn.
  private func keepPartial(
    _ rest: UnsafeRawBufferPointer, needed: Int, since: Instant?, _ memory: ReceiveMemory
  ) {
    guard rest.count > 0 else { return }
    let kept = memory.takePartial()
    kept.bytes.copyMemory(from: rest)
    kept.filled = rest.count
    kept.needed = needed
    kept.since = since ?? lastReceived
    partial = kept
  }
}
