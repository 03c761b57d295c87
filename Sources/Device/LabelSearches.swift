internal import SystemIO
public import Wire

/// The device that has a label.
public enum LocateOutcome: Sendable, Equatable {
  case peer(Peer)
  case nobody
  /// Not known: there is no relay, it has not answered in time, or there are too many questions.
  case unclear
}

/// Peers that the relay has been asked for by label. Owned by the device's thread.
struct LabelSearches {
  /// Labels that may be asked for at a time, and callers that may wait for each.
  private static let maximumSearches = 64
  private static let maximumWaiting = 64
  /// How long `nobody` is a valid answer.
  private static let validity = Duration.seconds(2)

  private typealias Waiting = (number: Int, reply: @Sendable (LocateOutcome) -> Void)
  private var searches: [String: [Waiting]] = [:]
  private var absent: [String: Instant] = [:]
  private var questions = RateLimit(perSecond: 50, burst: 100)
  private var lastNumber = 0

  var isEmpty: Bool { searches.isEmpty }

  /// Begins to wait for a peer with this label; `isNew`: the relay is to be asked. `nil`: `reply` has the outcome,
  /// because it is known, or there are too many questions.
  mutating func begin(
    _ label: String, at now: Instant, _ reply: @escaping @Sendable (LocateOutcome) -> Void
  ) -> (number: Int, isNew: Bool)? {
    if let until = absent[label], now < until {
      reply(.nobody)
      return nil
    }
    let waiting = searches[label, default: []]
    let isAllowed =
      waiting.isEmpty
      ? searches.count < Self.maximumSearches && questions.allow(at: now) : waiting.count < Self.maximumWaiting
    guard isAllowed else {
      reply(.unclear)
      return nil
    }
    lastNumber += 1
    searches[label] = waiting + [(lastNumber, reply)]
    return (lastNumber, waiting.isEmpty)
  }

  /// The relay has told of a peer.
  mutating func find(_ peer: Peer) {
    end(HostLabel.label(of: peer.deviceID), .peer(peer))
  }

  /// The relay says that no device has the label.
  mutating func markAbsent(_ label: String, at now: Instant) {
    guard searches[label] != nil else { return }
    if absent.count >= 4 * Self.maximumSearches { absent = absent.filter { now < $0.value } }
    if absent.count < 4 * Self.maximumSearches { absent[label] = now.advanced(by: Self.validity) }
    end(label, .nobody)
  }

  /// The time of a caller is over.
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
