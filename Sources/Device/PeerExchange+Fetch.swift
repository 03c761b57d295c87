internal import SystemIO
internal import Wire

/// Somebody who waits for what peers tell of themselves.
struct Fetch {
  /// Those that have not answered yet.
  var missing: Set<IPv4Address>
  let reply: () -> Void
}

extension PeerExchange {
  private static let maximumFetches = 64

  /// Asks the peers at these addresses for what they tell of themselves, as many as are kept, and replies once all have answered
  /// or failed, or after `limit`. Too many at once are answered as they are.
  func fetch(_ addresses: [IPv4Address], within limit: Duration, _ reply: @escaping () -> Void) {
    guard let messenger, messenger.isConnected, fetches.count < Self.maximumFetches else { return reply() }
    let asked = Set(addresses.prefix(book.limit)).filter {
      messenger.peers.peers[$0] != nil || messenger.mayLocate($0)
    }
    guard !asked.isEmpty else { return reply() }
    lastFetch += 1
    let number = lastFetch
    fetches[number] = Fetch(missing: asked, reply: reply)
    events.schedule(after: limit) { [weak self] in
      self?.fetches.removeValue(forKey: number)?.reply()
    }
    for address in asked {
      if let peer = messenger.peers.peers[address] { demand(peer) } else { messenger.locate(address) }
    }
    startNext()
  }

  /// Asks before those that nobody waits for.
  func demand(_ peer: Peer) {
    guard let record = listed(peer) else { return }
    record.mustAsk = true
    record.isNeeded = true
    enqueue(record, isUrgent: true)
  }

  /// The peer at this address has answered, or will not.
  func isDone(_ address: IPv4Address) {
    for (number, fetch) in fetches where fetch.missing.contains(address) {
      fetches[number]?.missing.remove(address)
      if fetch.missing.count == 1 { fetches.removeValue(forKey: number)?.reply() }
    }
  }
}
