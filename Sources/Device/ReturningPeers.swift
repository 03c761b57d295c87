internal import Wire

/// Peers that were there when the relay was lost and are not back yet. They are on their way, too, so that nobody is told that
/// they have left before they have had time. Owned by the device's thread.
struct ReturningPeers {
  private(set) var peers: [IPv4Address: Peer] = [:]

  /// Takes the events of one update and returns those to be told now. `isReturn`: it is the first whole list since the
  /// connection to the relay was made.
  mutating func filter(_ news: [PeerEvent], isReturn: Bool) -> [PeerEvent] {
    var told: [PeerEvent] = []
    for event in news {
      switch event {
      case .left(let peer) where isReturn:
        peers[peer.address] = peer
      case .joined(let peer):
        if let former = peers.removeValue(forKey: peer.address) {
          if former == peer { continue }
          told.append(.left(former))
        }
        told.append(event)
      case .left, .changed:
        told.append(event)
      }
    }
    return told
  }

  /// Waits no longer: those that are not back have left.
  mutating func giveUp() -> [PeerEvent] {
    defer { peers = [:] }
    return peers.values.map { .left($0) }
  }
}
