internal import SystemIO
internal import Wire

/// What to do with packets for addresses of which no peer is known: the relay is asked by sending them on, and when it says
/// that nobody is there, the sender of the packet is told, and those of further packets at once for a while.
struct AbsentPeers {
  /// How long a relay's word counts. A peer that joins ends it sooner.
  private static let validity = Duration.seconds(1)
  private static let maximumEntries = 64

  private enum Entry {
    /// Asked; the reply to the last packet waits for the answer.
    case asked(reply: [UInt8]?, Instant)
    case absent(until: Instant)
  }

  private var entries: [IPv4Address: Entry] = [:]
  private var replies = RateLimit(perSecond: 100, burst: 200)

  /// Whether the relay has said lately that nobody has this address.
  func isAbsent(_ address: IPv4Address, at now: Instant) -> Bool {
    if case .absent(let until) = entries[address] { now < until } else { false }
  }

  /// Keeps the `reply` to a packet that is sent on for the relay to decide.
  mutating func ask(_ destination: IPv4Address, reply: [UInt8]?, at now: Instant) {
    makeRoom(at: now)
    guard entries.count < Self.maximumEntries || entries[destination] != nil else { return }
    entries[destination] = .asked(reply: reply, now)
  }

  /// The relay says that nobody has this address. Returns the reply that has waited for this.
  mutating func markAbsent(_ address: IPv4Address, at now: Instant) -> [UInt8]? {
    makeRoom(at: now)
    let former = entries[address]
    guard entries.count < Self.maximumEntries || former != nil else { return nil }
    entries[address] = .absent(until: now.advanced(by: Self.validity))
    if case .asked(let reply, _) = former { return reply }
    return nil
  }

  mutating func forget(_ address: IPv4Address) {
    entries[address] = nil
  }

  /// Whether one more sender may be told now.
  mutating func mayReply(at now: Instant) -> Bool {
    replies.allow(at: now)
  }

  private mutating func makeRoom(at now: Instant) {
    guard entries.count >= Self.maximumEntries else { return }
    entries = entries.filter { _, entry in
      switch entry {
      case .asked(_, let since): now.since(since) < Self.validity
      case .absent(let until): now < until
      }
    }
  }
}
