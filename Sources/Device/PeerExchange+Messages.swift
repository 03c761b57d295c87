internal import SystemIO
internal import Wire

// What comes from peers. Each of them may be hostile: how often it is heard, how much of it is read and how much it is answered
// is bounded, and nothing that it wrote gets into a line for people.

extension PeerExchange {
  /// Takes a message that `peer` has sealed.
  func receive(_ bytes: UnsafeRawBufferPointer, from peer: Peer) {
    guard let record = listed(peer) else { return }
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
    record.prove(at: now)
    switch message {
    case .ask(let have): answer(record, have: have, at: now)
    case .orchestration(let information): learn(information, of: record, at: now)
    case .unchanged: confirm(record, at: now)
    case .echo(let number): send(.echoReply(number), to: record)
    case .echoReply(let number): isAnswered(number, by: record, at: now)
    case nil: break
    }
  }

  private func refuse(_ peer: Peer, _ reason: String) {
    counters.refused += 1
    guard warnings.allow(at: .now()) else { return }
    onWarning("a message of \(peer.deviceID) (\(peer.address)) is refused: \(reason)")
  }

  func send(_ message: PeerMessage, to record: PeerRecord) {
    if messenger?.send(message.encoded(), to: record.peer) == true { counters.sent += 1 }
  }

  /// The peer wants to know what this device tells of itself, or says that it knows.
  private func answer(_ record: PeerRecord, have: Int?, at now: Instant) {
    record.isInformed = true
    if have == own.revision {
      record.revision = own.revision
      send(.unchanged, to: record)
    } else if record.answers.allow(at: now) {
      record.revision = own.revision
      if messenger?.send(ownMessage, to: record.peer) == true { counters.sent += 1 }
    } else {
      counters.limited += 1
    }
    // Who has nothing of this device may have forgotten too what it has told, and to whom.
    if have == nil, !record.mustAsk, wantsAll || record.orchestration != nil, !record.hasAnswered(lately: now) {
      record.mustAsk = true
    }
    speak(record)
    settle(record)
  }

  private func learn(_ information: Orchestration, of record: PeerRecord, at now: Instant) {
    guard record.mustAsk || record.orchestration != nil || wantsAll else { return }
    let isAnswer = record.mustAsk && record.hasAsked
    if book.learn(information, of: record) { tell(of: record, at: now) }
    if !isAnswer {
      // Who has told unasked hears that it has arrived.
      send(.ask(have: record.orchestration?.revision), to: record)
    }
    isInformed(of: record, at: now)
  }

  /// Tells what a peer says of itself now: some changes at once, and then once a second, whatever the peer does.
  private func tell(of record: PeerRecord, at now: Instant) {
    guard !record.isTellingDue, let information = record.orchestration else { return }
    guard !record.tellings.allow(at: now) else { return onEvent(.changed(record.peer, information)) }
    record.isTellingDue = true
    events.schedule(after: .seconds(1)) { [weak self, weak record] in
      guard let self, let record else { return }
      record.isTellingDue = false
      if self.book[record.peer.address] === record { self.tell(of: record, at: .now()) }
    }
  }

  private func confirm(_ record: PeerRecord, at now: Instant) {
    guard record.orchestration != nil, record.mustAsk, record.hasAsked else { return }
    book.touch(record)
    isInformed(of: record, at: now)
  }

  /// What the peer tells of itself is known as it is now.
  private func isInformed(of record: PeerRecord, at now: Instant) {
    record.mustAsk = false
    record.isNeeded = false
    record.answeredAt = now
    settle(record)
    isDone(record.peer.address)
  }
}
