// How a relay ends without losing data:
//
//   `Relay.drain`               closes the listening sockets
//   `RelayLoop.begin`           ends sessions that have not joined, and asks the devices to send no more data
//   `Session.obey`              a device answers behind the last of its data, which the relay has forwarded by then
//   `RelayLoop.awaitDelivery`   once all have answered: waits until the devices' kernels have acknowledged their data
//   `Relay.stop`                ends the sessions
//
// Closing before the devices' kernels have acknowledged everything could reset connections and lose data.

internal import Link
internal import Synchronization
internal import SystemIO
internal import Wire

/// The result of a drain.
public struct DrainOutcome: Sendable, Equatable {
  /// Sessions that were asked to finish.
  public var sessions = 0
  /// Those of them that had not finished when the time was over.
  public var cutOff = 0
  public var duration = Duration.zero
}

extension Relay {
  /// Lets data under way reach its destination, for at most `limit`; `stop` comes after that. `reply` gets the outcome
  /// once, on one of the relay's threads; a call during a drain gets the outcome of that one. False: a drain goes on
  /// already. From any thread.
  @discardableResult
  public func drain(
    within limit: Duration, _ reply: @escaping @Sendable (DrainOutcome) -> Void
  ) -> Bool {
    let (drain, isNew) = draining.withLock { draining in
      if let draining { return (draining, false) }
      let drain = DrainProgress(loops)
      draining = drain
      return (drain, true)
    }
    drain.tell(reply)
    guard isNew else { return false }
    loops[0].events.post { [self] in
      stopListening()
      for loop in loops { loop.begin(drain) }
      loops[0].events.schedule(after: limit) { drain.cutOff() }
    }
    return true
  }

  /// Whether a drain has begun.
  public var isDraining: Bool { draining.withLock { $0 != nil } }
}

/// The steps of a drain. A step is over when all loops have finished it. For any thread.
final class DrainProgress: Sendable {
  // Set once.
  private let loops: [RelayLoop]
  private let began = Instant.now()

  // Guarded by its lock.
  private let state: Mutex<State>

  private struct State {
    var step = Step.answers
    /// Loops that have not finished the step.
    var loopsLeft: Int
    var outcome = DrainOutcome()
    var replies: [@Sendable (DrainOutcome) -> Void] = []
  }

  private enum Step {
    /// The devices finish sending.
    case answers
    /// The devices receive the data for them.
    case delivery
    /// The time is over, and the loops count the unfinished sessions.
    case count
    case over
  }

  init(_ loops: [RelayLoop]) {
    self.loops = loops
    state = Mutex(State(loopsLeft: loops.count))
  }

  /// Gives the outcome to `reply`, at once if there is one.
  func tell(_ reply: @escaping @Sendable (DrainOutcome) -> Void) {
    let outcome = state.withLock { state -> DrainOutcome? in
      if case .over = state.step { return state.outcome }
      state.replies.append(reply)
      return nil
    }
    if let outcome { reply(outcome) }
  }

  /// A loop has asked this number of sessions to finish.
  func count(_ sessions: Int) {
    state.withLock { $0.outcome.sessions += sessions }
  }

  /// The last session of a loop has answered.
  func loopHasAnswers() {
    guard finishStep(.answers, next: .delivery) else { return }
    for loop in loops { loop.awaitDelivery() }
  }

  /// All sessions of a loop have received their data.
  func loopHasDelivered() {
    if finishStep(.delivery, next: .over) { end() }
  }

  /// The time is over.
  func cutOff() {
    let isDue = state.withLock { state in
      switch state.step {
      case .answers, .delivery:
        state.step = .count
        state.loopsLeft = loops.count
        return true
      case .count, .over: return false
      }
    }
    guard isDue else { return }
    for loop in loops {
      loop.countUnfinished { [self] count in
        state.withLock { $0.outcome.cutOff += count }
        if finishStep(.count, next: .over) { end() }
      }
    }
  }

  /// A loop has finished `step`. True: it was the last one.
  private func finishStep(_ step: Step, next: Step) -> Bool {
    state.withLock { state in
      guard state.step == step else { return false }
      state.loopsLeft -= 1
      guard state.loopsLeft == 0 else { return false }
      state.step = next
      state.loopsLeft = loops.count
      return true
    }
  }

  private func end() {
    let (outcome, replies) = state.withLock { state in
      state.outcome.duration = Instant.now().since(began)
      defer { state.replies = [] }
      return (state.outcome, state.replies)
    }
    for reply in replies { reply(outcome) }
  }
}

/// One loop's part of a drain. Owned by the loop's thread.
struct LoopDrain {
  let drain: DrainProgress
  /// Sessions that were asked and have not answered.
  var unanswered: Set<ObjectIdentifier> = []
  /// Sessions with data on the way to them, in the step `delivery`.
  var undelivered: [ObjectIdentifier: Session] = [:]

  static let checkInterval = Duration.milliseconds(10)
}

extension RelayLoop {
  /// The refusal that ends a session while the relay drains.
  var drainRefusal: Refusal {
    Refusal(.shuttingDown, "the relay is about to end", retryAfter: RelaySettings.retryAfter(presence.occupancy.online))
  }

  /// Asks the devices to finish, and ends the sessions that have not joined. From any thread.
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

  /// No device sends data any more. From any thread.
  func awaitDelivery() {
    events.post { [self] in
      draining?.undelivered = sessions
      checkDelivery()
    }
  }

  private func checkDelivery() {
    guard let drain = draining?.drain, let former = draining?.undelivered else { return }
    let undelivered = former.filter { !$0.value.connection.hasDeliveredAll }
    draining?.undelivered = undelivered
    if undelivered.isEmpty { return drain.loopHasDelivered() }
    events.schedule(after: LoopDrain.checkInterval) { self.checkDelivery() }
  }

  /// Counts the sessions that have not answered, or have not received all data. From any thread.
  func countUnfinished(_ reply: @escaping @Sendable (Int) -> Void) {
    events.post { [self] in
      let unfinished = sessions.filter { name, session in
        draining?.unanswered.contains(name) == true || !session.connection.hasDeliveredAll
      }
      reply(unfinished.count)
    }
  }
}
