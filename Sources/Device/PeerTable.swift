public import Wire

/// What has become of a peer, as far as this device knows.
public enum PeerEvent: Sendable, Equatable {
  case joined(Peer)
  /// It has left, or its address has another device now, of which the next event tells.
  case left(Peer)
  /// What the peer tells of itself is known now, or newer than what was.
  case changed(Peer, Orchestration)
}

/// Who else is in the network, as the relay told. Owned by the device's thread.
package struct PeerTable {
  private(set) var peers: [IPv4Address: Peer] = [:]
  /// Whether the network is so large that the relay tells only of those that this device asks for.
  private(set) var isPartial = false
  private var revision: Int?
  /// A snapshot of which parts are still to come; until then, what was known before counts.
  private var snapshot: [IPv4Address: Peer]?
  /// Whether the relay has told all since the connection to it was made.
  private(set) var isComplete = false

  /// A relay that tells everybody of everybody does so in networks of a third as many.
  private static let maximumPeers = 16_384

  /// The peer whose device ID has this label. Of several, as a relay of former times may admit, it is any.
  func peer(ofLabel label: String) -> Peer? {
    peers.values.first { $0.deviceID.utf8.count == label.utf8.count && HostLabel.label(of: $0.deviceID) == label }
  }

  /// Whether the update fits what is known.
  package enum Outcome { case applied, outdated, missedSome }

  /// The connection to the relay is new: what was known before may be outdated.
  mutating func expectSnapshot() {
    isComplete = false
  }

  /// Takes an update from the relay, and tells `onEvent` what that changes. Peers that cannot be are left out: outside
  /// `pool`, at its network or broadcast address, or with an ID that is none; and so are those beyond `maximumPeers`.
  /// The relay may be anybody.
  mutating func apply(
    _ update: PeerUpdate, in pool: IPv4Prefix, except own: IPv4Address, onEvent: (PeerEvent) -> Void = { _ in }
  ) -> Outcome {
    if let since = update.since {
      guard let revision, since <= revision else { return .missedSome }
      guard update.revision >= revision else { return .outdated }
    } else {
      snapshot = [:]
      isPartial = update.partial ?? false
    }
    revision = update.revision
    let isSnapshot = snapshot != nil
    var changed = snapshot ?? peers
    for address in update.left {
      if let peer = changed.removeValue(forKey: address), !isSnapshot { onEvent(.left(peer)) }
    }
    for peer in update.joined
    where peer.address != own && pool.isHost(peer.address) && DeviceID.isValid(peer.deviceID) {
      guard changed.count < Self.maximumPeers || changed[peer.address] != nil else { continue }
      let former = changed.updateValue(peer, forKey: peer.address)
      if !isSnapshot, former != peer {
        if let former { onEvent(.left(former)) }
        onEvent(.joined(peer))
      }
    }
    if isSnapshot, update.more == true {
      snapshot = changed
    } else {
      if isSnapshot { Self.tellDifference(from: peers, to: changed, onEvent) }
      snapshot = nil
      peers = changed
      isComplete = true
    }
    return .applied
  }

  private static func tellDifference(
    from old: [IPv4Address: Peer], to new: [IPv4Address: Peer], _ onEvent: (PeerEvent) -> Void
  ) {
    for peer in old.values where new[peer.address] != peer { onEvent(.left(peer)) }
    for peer in new.values where old[peer.address] != peer { onEvent(.joined(peer)) }
  }
}
