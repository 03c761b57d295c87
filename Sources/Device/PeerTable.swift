internal import Wire

/// Who else is in the network, as the relay told. Owned by the device's thread.
struct PeerTable {
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

  /// Whether the update fits what is known.
  enum Outcome { case applied, outdated, missedSome }

  /// The connection to the relay is new: what was known before may be outdated.
  mutating func expectSnapshot() {
    isComplete = false
  }

  /// Peers that cannot be, outside `pool` or with an ID that is none, are left out, and so are those beyond `maximumPeers`:
  /// the relay may be anybody.
  mutating func apply(_ update: PeerUpdate, in pool: IPv4Prefix, except own: IPv4Address) -> Outcome {
    if let since = update.since {
      guard let revision, since <= revision else { return .missedSome }
      guard update.revision >= revision else { return .outdated }
    } else {
      snapshot = [:]
      isPartial = update.partial ?? false
    }
    revision = update.revision
    var changed = snapshot ?? peers
    for address in update.left { changed[address] = nil }
    for peer in update.joined
    where peer.address != own && pool.contains(peer.address) && DeviceID.isValid(peer.deviceID) {
      guard changed.count < Self.maximumPeers || changed[peer.address] != nil else { continue }
      changed[peer.address] = peer
    }
    if snapshot != nil, update.more == true {
      snapshot = changed
    } else {
      snapshot = nil
      peers = changed
      isComplete = true
    }
    return .applied
  }
}
