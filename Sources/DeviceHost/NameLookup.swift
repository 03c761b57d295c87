internal import SystemIO

/// Looks names up as every program of this host does, on threads of its own, with a deadline. Owned by the loop's
/// thread.
final class NameLookup {
  /// The numeric addresses that were found, or why none were.
  typealias Outcome = Result<[String], Failed>

  struct Failed: Error {
    let why: String
  }

  // Set once.
  private let events: EventLoop

  /// Look-ups whose thread still waits for the system's resolver, which can take longer than the deadline.
  private var running = 0

  private static let maximum = 4
  private static let patience = Duration.seconds(5)

  init(on events: EventLoop) {
    self.events = events
  }

  /// Calls `done` on the loop's thread, once.
  func look(up name: String, _ done: @escaping (Outcome) -> Void) {
    let late = Outcome.failure(Failed(why: "has no answer within \(Int(Self.patience.seconds)) s"))
    guard running < Self.maximum else { return done(late) }
    running += 1
    let call = Call(done)
    events.schedule(after: Self.patience) { call.end(late) }
    let finish = LoopBound { [weak self] (outcome: Outcome) in
      self?.running -= 1
      call.end(outcome)
    }
    SystemThread.detach(name: "name-lookup") { [events] in
      let outcome = Resolver.addresses(of: name).map { $0.map(\.host) }.mapError { Failed(why: "is not found (\($0))") }
      events.post { finish.value(outcome) }
    }
  }

  private final class Call {
    private var done: ((Outcome) -> Void)?

    init(_ done: @escaping (Outcome) -> Void) { self.done = done }

    func end(_ outcome: Outcome) { done.take()?(outcome) }
  }
}
