internal import SystemIO
internal import Wire

// Messages from peers. A peer may be hostile: how many of its messages are read, how many bytes and how many answers it
// gets is limited, and nothing that it wrote gets into a log line.
extension PeerExchange {
  /// Takes a message that the peer has sealed.
  func receive(_ bytes: UnsafeRawBufferPointer, from state: PeerState) {
    guard let record = listedRecord(of: state) else { return }
    let peer = state.peer
    let now = Instant.now()
    guard record.messages.allow(at: now) else {
      counters.limited += 1
      return
    }
    guard bytes.count <= PeerMessage.maximumSize else { return refuse(peer, "it is too long") }
    let cost = Double(bytes.count)
    guard record.reading.allow(cost: cost, at: now), reading.allow(cost: cost, at: now) else {
      counters.limited += 1
      return
    }
    let message: PeerMessage?
    do {
      message = try PeerMessage.decode(bytes)
    } catch {
      return refuse(peer, "it is not what a message can be")
    }
    if case .orchestration(let information) = message, information.deviceID != peer.deviceID {
      return refuse(peer, "it tells of another device")
    }
    counters.received += 1
    record.path.prove(at: now)
    switch message {
    case .ask(let have): answer(record, have: have, at: now)
    case .orchestration(let information): learn(information, of: record, at: now)
    case .unchanged: confirm(record, at: now)
    case .echo(let number): send(.echoReply(number), to: record)
    case .echoReply(let number): isAnswered(number, by: record, at: now)
    case .candidates(let tcp): onCandidates?(tcp, state)
    case nil: break
    }
  }

  private func refuse(_ peer: Peer, _ reason: String) {
    counters.refused += 1
    guard warnings.allow(at: .now()) else { return }
    onWarning("a message of \(peer.deviceID) (\(peer.address)) is refused: \(reason)")
  }

  /// The peer asks for this device's information, or says which revision it has.
  private func answer(_ record: PeerRecord, have: Int?, at now: Instant) {
    record.isSubscribed = true
    if have == own.revision {
      record.revision = own.revision
      send(.unchanged, to: record)
    } else if record.answers.allow(at: now) {
      record.revision = own.revision
      send(ownMessage, to: record)
    } else {
      counters.limited += 1
    }
    // A peer that has nothing of this device may have been restarted, and not know that this device wants to hear of
    // changes.
    if have == nil, !record.mustAsk, wantsAll || record.orchestration != nil, !record.hasAnswered(lately: now) {
      record.mustAsk = true
    }
    speak(record)
    settle(record)
  }

  private func learn(_ information: Orchestration, of record: PeerRecord, at now: Instant) {
    guard record.mustAsk || record.orchestration != nil || wantsAll else { return }
    let isAnswer = record.mustAsk && record.hasAsked
    if cache.learn(information, of: record) { report(record, at: now) }
    if !isAnswer {
      // A push is confirmed by a question that says which revision this device has.
      send(.ask(have: record.orchestration?.revision), to: record)
    }
    isInformed(of: record, at: now)
  }

  /// Reports the peer's information: some changes at once, and then one a second, however often the peer changes it.
  private func report(_ record: PeerRecord, at now: Instant) {
    guard !record.isEventDue, let information = record.orchestration else { return }
    guard !record.eventLimit.allow(at: now) else { return onEvent(.changed(record.peer, information)) }
    record.isEventDue = true
    events.schedule(after: .seconds(1)) { [weak self, weak record] in
      guard let self, let record else { return }
      record.isEventDue = false
      if record.state.record === record { self.report(record, at: .now()) }
    }
  }

  private func confirm(_ record: PeerRecord, at now: Instant) {
    guard record.orchestration != nil, record.mustAsk, record.hasAsked else { return }
    cache.touch(record)
    isInformed(of: record, at: now)
  }

  /// The peer's present information is known.
  private func isInformed(of record: PeerRecord, at now: Instant) {
    record.mustAsk = false
    record.isNeeded = false
    record.answeredAt = now
    settle(record)
    isDone(record.peer.address)
  }
}
