internal import SystemIO
internal import Wire

/// Peers that the relay has been asked for by label. Owned by the device's thread.
struct LabelSearches {
  /// How many may be asked for at a time, and how many may wait for each.
  private static let maximumSearches = 64
  private static let maximumWaiting = 64
  /// How long a relay's word that there is none counts.
  private static let validity = Duration.seconds(2)

  private struct Waiting {
    var number: Int
    var reply: @Sendable (Peer?) -> Void
  }

  private var searches: [String: [Waiting]] = [:]
  private var absent: [String: Instant] = [:]
  private var questions = RateLimit(perSecond: 50, burst: 100)
  private var lastNumber = 0

  var isEmpty: Bool { searches.isEmpty }

  /// Begins to wait for a peer of this label. `isNew`: the relay is to be asked. `nil`: there is none, or too much is asked.
  mutating func begin(
    _ label: String, at now: Instant, _ reply: @escaping @Sendable (Peer?) -> Void
  ) -> (number: Int, isNew: Bool)? {
    if let until = absent[label], now < until { return nil }
    let isNew = searches[label] == nil
    if isNew {
      guard searches.count < Self.maximumSearches, questions.allow(at: now) else { return nil }
    } else if searches[label, default: []].count >= Self.maximumWaiting {
      return nil
    }
    lastNumber += 1
    searches[label, default: []].append(Waiting(number: lastNumber, reply: reply))
    return (lastNumber, isNew)
  }

  /// The relay has told of a peer.
  mutating func find(_ peer: Peer) {
    end(HostLabel.label(of: peer.deviceID), peer)
  }

  /// The relay says that there is none.
  mutating func markAbsent(_ label: String, at now: Instant) {
    guard searches[label] != nil else { return }
    if absent.count >= 4 * Self.maximumSearches { absent = absent.filter { now < $0.value } }
    if absent.count < 4 * Self.maximumSearches { absent[label] = now.advanced(by: Self.validity) }
    end(label, nil)
  }

  /// The time of one of those who wait is over.
  mutating func giveUp(_ number: Int, _ label: String) {
    guard let index = searches[label]?.firstIndex(where: { $0.number == number }),
      let waiting = searches[label]?.remove(at: index)
    else { return }
    if searches[label]?.isEmpty == true { searches[label] = nil }
    waiting.reply(nil)
  }

  private mutating func end(_ label: String, _ peer: Peer?) {
    for waiting in searches.removeValue(forKey: label) ?? [] { waiting.reply(peer) }
  }
}
