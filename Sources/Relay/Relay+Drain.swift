// How a relay ends without losing anything:
//
//   `Relay.drain`               closes the listening sockets: nobody new comes
//   `RelayLoop.begin`           sends away who has not joined, and tells the others to send no more data
//   `Session.obey`              a device says the same back behind the last of its data, all of which is forwarded by then
//   `RelayLoop.awaitDelivery`   once all have, what waits for them goes out, and is theirs when their kernels say so
//   `Relay.stop`                the last word

internal import Synchronization
internal import SystemIO

/// What came of a drain.
public struct DrainOutcome: Sendable, Equatable {
  /// Sessions that were asked to finish.
  public var sessions = 0
  /// Those of them that had not when the time was over.
  public var cutOff = 0
  public var duration = Duration.zero
}

extension Relay {
  /// Lets everything under way reach its destination, but takes no longer than `limit`; `stop` is still to come. `reply` hears
  /// once, on one of the relay's threads; who asks while a drain goes on hears of that one. False: one goes on already. From
  /// any thread.
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

/// The steps of a drain, each of which is over when all loops are through with it. For any thread.
final class DrainProgress: Sendable {
  // Set once.
  private let loops: [RelayLoop]
  private let began = Instant.now()

  // Guarded by its lock.
  private let state: Mutex<State>

  private struct State {
    var step = Step.answers
    /// Loops that are not through with the step.
    var loopsLeft: Int
    var outcome = DrainOutcome()
    var replies: [@Sendable (DrainOutcome) -> Void] = []
  }

  private enum Step {
    /// The devices finish sending.
    case answers
    /// What is for them goes out.
    case delivery
    /// Time is over, and what is left is counted.
    case count
    case over
  }

  init(_ loops: [RelayLoop]) {
    self.loops = loops
    state = Mutex(State(loopsLeft: loops.count))
  }

  /// `reply` hears of the outcome, at once if there is one.
  func tell(_ reply: @escaping @Sendable (DrainOutcome) -> Void) {
    let outcome = state.withLock { state -> DrainOutcome? in
      if case .over = state.step { return state.outcome }
      state.replies.append(reply)
      return nil
    }
    if let outcome { reply(outcome) }
  }

  /// A loop has asked so many sessions to finish.
  func count(_ sessions: Int) {
    state.withLock { $0.outcome.sessions += sessions }
  }

  /// The last session of a loop has answered.
  func loopHasAnswers() {
    guard finishStep(.answers, next: .delivery) else { return }
    for loop in loops { loop.awaitDelivery() }
  }

  /// Nothing waits for a session of a loop any more.
  func loopHasDelivered() {
    if finishStep(.delivery, next: .over) { end() }
  }

  /// Time is over. On any thread.
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

  /// A loop is through with `step`. True: it was the last one.
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
