// A device answers `drain` behind the last of its data, so the relay knows that it has received everything. The relay
// ends when the devices' kernels have acknowledged everything, because closing earlier could reset connections.

internal import Link
internal import SystemIO
internal import Wire

/// One loop's part of a drain. Owned by the loop's thread.
struct LoopDrain {
  let drain: DrainProgress
  /// Sessions that have been told and have not answered.
  var unanswered: Set<ObjectIdentifier> = []
  /// Sessions that something is still on its way to, once that is looked at.
  var undelivered: [ObjectIdentifier: Session] = [:]

  static let lookInterval = Duration.milliseconds(10)
}

extension RelayLoop {
  /// The last word to a device while the relay drains.
  var drainRefusal: Refusal {
    Refusal(.shuttingDown, "the relay is about to end", retryAfter: Pacing.retryAfter(presence.occupancy.online))
  }

  /// Tells the devices that are in to finish, and sends the others away. From any thread.
  func begin(_ drain: DrainProgress) {
    events.post { [self] in
      var part = LoopDrain(drain: drain)
      for session in Array(sessions.values) {
        if session.tellToDrain() {
          part.unanswered.insert(ObjectIdentifier(session))
        } else {
          session.end(drainRefusal)
        }
      }
      drain.count(part.unanswered.count)
      draining = part
      if part.unanswered.isEmpty { drain.loopHasAnswers() }
    }
  }

  /// A session has sent the last of its data, or has ended.
  func hasAnswered(_ session: Session) {
    guard draining?.unanswered.remove(ObjectIdentifier(session)) != nil, let draining, draining.unanswered.isEmpty
    else { return }
    draining.drain.loopHasAnswers()
  }

  /// Nobody sends data any more. From any thread.
  func awaitDelivery() {
    events.post { [self] in
      draining?.undelivered = sessions
      lookAtDelivery()
    }
  }

  private func lookAtDelivery() {
    guard let drain = draining?.drain, let former = draining?.undelivered else { return }
    let undelivered = former.filter { !$0.value.connection.hasDeliveredAll }
    draining?.undelivered = undelivered
    if undelivered.isEmpty { return drain.loopHasDelivered() }
    events.schedule(after: LoopDrain.lookInterval) { self.lookAtDelivery() }
  }

  /// Says how many sessions have not answered, or have not got everything. From any thread.
  func countUnfinished(_ reply: @escaping @Sendable (Int) -> Void) {
    events.post { [self] in
      let unfinished = sessions.filter { name, session in
        draining?.unanswered.contains(name) == true || !session.connection.hasDeliveredAll
      }
      reply(unfinished.count)
    }
  }
}
