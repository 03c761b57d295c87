internal import Link
internal import SystemIO

/// Who waits for an echo of the relay. Owned by the device's thread.
struct RelayEchoes {
  private var waiting: [(number: Int, since: Instant, reply: (Duration?) -> Void)] = []
  private var last = 0

  private static let maximum = 64

  /// The number of a new one; `nil` if too many wait.
  mutating func begin(at now: Instant, _ reply: @escaping (Duration?) -> Void) -> Int? {
    guard waiting.count < Self.maximum else { return nil }
    last += 1
    waiting.append((last, now, reply))
    return last
  }

  /// An echo has come that took `roundTrip`: good for all who had begun to wait before it was sent.
  mutating func end(with roundTrip: Duration, at now: Instant) {
    let done = waiting.filter { now.since($0.since) >= roundTrip }
    waiting.removeAll { now.since($0.since) >= roundTrip }
    for each in done { each.reply(roundTrip) }
  }

  /// The time of this one is over.
  mutating func giveUp(_ number: Int) {
    guard let index = waiting.firstIndex(where: { $0.number == number }) else { return }
    waiting.remove(at: index).reply(nil)
  }

  /// There is no connection any more.
  mutating func giveUp() {
    let all = waiting
    waiting = []
    for each in all { each.reply(nil) }
  }
}

extension Uplink {
  /// Asks the relay for an echo, and replies once, within `limit`; `nil`: none came, or none could be asked for.
  func ping(within limit: Duration, _ reply: @escaping (Duration?) -> Void) {
    guard let connection, let number = echoes.begin(at: .now(), reply) else { return reply(nil) }
    connection.sendPing()
    events.schedule(after: limit) { [weak self] in self?.echoes.giveUp(number) }
  }
}
