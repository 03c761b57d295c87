internal import Control
internal import SystemIO

/// Tells on a terminal what a tool waits for, once that takes over a second.
public enum WaitingNote {
  private static let patience = Duration.seconds(1)

  /// Does `work`, and shows `what` meanwhile on standard error. The note is removed in the end; on a terminal without
  /// control sequences it is one line that stays.
  public static func during<Answer, Problem: Error>(_ what: String, _ work: () throws(Problem) -> Answer)
    throws(Problem)
    -> Answer
  {
    guard Terminal.isOne(.error), let mark = Mark() else { return try work() }
    let thread = SystemThread.start(name: "note") { mark.show(what) }
    defer {
      mark.isOver.raise()
      thread.join()
    }
    return try work()
  }

  private final class Mark: Sendable {
    let isOver: WakeUp

    init?() {
      guard let isOver = try? WakeUp() else { return nil }
      self.isOver = isOver
    }

    /// Until it is over.
    func show(_ what: String) {
      let start = Instant.now()
      guard !isOver.wait(until: start.advanced(by: patience)) else { return }
      guard Terminal.takesControl(.error) else { return printError("waiting for \(what) …") }
      var seconds = 1
      repeat {
        let line = "waiting for \(what), \(seconds) s …"
        // A wrapped line could not be cleared.
        let width = Terminal.width(.error).map { $0 - 1 }
        try? Terminal.write("\r\(width.map { line.cut(to: $0) } ?? line)\u{1B}[K", to: .error)
        seconds += 1
      } while !isOver.wait(until: start.advanced(by: .seconds(seconds)))
      try? Terminal.write("\r\u{1B}[K", to: .error)
    }
  }
}

extension ControlCommand {
  /// What the user waits for.
  var awaited: String {
    switch self {
    case .drain: "what is under way to arrive"
    case .backup: "the copy of the database"
    case .rotateKey: "the new key to take its place"
    case .fetch: "the peers to tell what they offer"
    case .show(let peer, _): "\(peer.harmless) to tell what it offers"
    case .ping(let peer, _): "\(peer.harmless) to answer"
    default: "the daemon to answer"
    }
  }
}
