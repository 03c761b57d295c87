internal import SystemIO
public import Wire

/// Who has a label.
public enum LocateOutcome: Sendable, Equatable {
  case peer(Peer)
  case nobody
  /// It cannot be told now: there is no relay, it has not answered in time, or too much is asked.
  case unclear
}

/// Peers that the relay has been asked for by label. Owned by the device's thread.
struct LabelSearches {
  /// How many may be asked for at a time, and how many may wait for each.
  private static let maximumSearches = 64
  private static let maximumWaiting = 64
  /// How long a relay's word that there is none counts.
  private static let validity = Duration.seconds(2)

  private struct Waiting {
    var number: Int
    var reply: @Sendable (LocateOutcome) -> Void
  }

  private var searches: [String: [Waiting]] = [:]
  private var absent: [String: Instant] = [:]
  private var questions = RateLimit(perSecond: 50, burst: 100)
  private var lastNumber = 0

  var isEmpty: Bool { searches.isEmpty }

  /// Begins to wait for a peer of this label, which `reply` hears of at once if that is known, or too much is asked. `isNew`:
  /// the relay is to be asked.
  mutating func begin(
    _ label: String, at now: Instant, _ reply: @escaping @Sendable (LocateOutcome) -> Void
  ) -> (number: Int, isNew: Bool)? {
    if let until = absent[label], now < until {
      reply(.nobody)
      return nil
    }
    let isNew = searches[label] == nil
    let isAllowed =
      isNew
      ? searches.count < Self.maximumSearches && questions.allow(at: now)
      : searches[label, default: []].count < Self.maximumWaiting
    guard isAllowed else {
      reply(.unclear)
      return nil
    }
    lastNumber += 1
    searches[label, default: []].append(Waiting(number: lastNumber, reply: reply))
    return (lastNumber, isNew)
  }

  /// The relay has told of a peer.
  mutating func find(_ peer: Peer) {
    end(HostLabel.label(of: peer.deviceID), .peer(peer))
  }

  /// The relay says that there is none.
  mutating func markAbsent(_ label: String, at now: Instant) {
    guard searches[label] != nil else { return }
    if absent.count >= 4 * Self.maximumSearches { absent = absent.filter { now < $0.value } }
    if absent.count < 4 * Self.maximumSearches { absent[label] = now.advanced(by: Self.validity) }
    end(label, .nobody)
  }

  /// The time of one of those who wait is over.
  mutating func giveUp(_ number: Int, _ label: String) {
    guard let index = searches[label]?.firstIndex(where: { $0.number == number }),
      let waiting = searches[label]?.remove(at: index)
    else { return }
    if searches[label]?.isEmpty == true { searches[label] = nil }
    waiting.reply(.unclear)
  }

  private mutating func end(_ label: String, _ outcome: LocateOutcome) {
    for waiting in searches.removeValue(forKey: label) ?? [] { waiting.reply(outcome) }
  }
}
