// What this device knows of its network:
//
//   the relay tells of peers        → `apply`: one `PeerState` per address, and the changes that others are told of
//   a packet is for an address      → `Membership.target`, then `listed`: the peer that has the address
//   no peer is listed there         → the packet waits in `unlocated`, and `ask` asks the relay for the address
//   the connection is made anew     → `rejoin`: known peers count until the relay has listed all; the peers that are
//                                     missing then are `returning` for a while before they count as gone

internal import Link
internal import SystemIO
package import Wire

package enum PeerChange {
  case joined(PeerState)
  /// It has left, or another device has its address, of which the next change tells.
  case left(PeerState)

  var event: PeerEvent {
    switch self {
    case .joined(let state): .joined(state.peer)
    case .left(let state): .left(state.peer)
    }
  }
}

/// This device's membership in the network, and its peers. Owned by the device's thread.
package final class Neighbourhood {
  // Set once.
  private let deviceID: String
  /// The connection to the relay, which carries all frames.
  package let relay = FrameCarrier()

  /// Whether packets may go by way of the relay now.
  var takesPackets = true {
    didSet { epoch += 1 }
  }

  /// `nil` before the first join, and while the interface has no addresses.
  private(set) var membership: Membership?
  /// What peers call this device; it outlives `membership`.
  private(set) var own: PeerName?

  /// By address: listed peers, and peers that have left but have a link or a record.
  private(set) var peers: [IPv4Address: PeerState] = [:]
  /// How many of them the relay lists.
  private(set) var listedCount = 0
  /// Changes with every peer or link that comes or goes: until then callers may keep what they have looked up.
  private(set) var epoch = 0
  /// Whether the relay has listed all peers since the connection was made.
  private(set) var isComplete = false
  /// Whether the network is so large that the relay tells only of the peers that this device asks for.
  private(set) var isPartial = false
  private var revision: Int?
  /// A snapshot that has not come whole yet.
  private var snapshot: [IPv4Address: Peer]?
  /// Peers that were there before the connection to the relay was lost, and are not back yet.
  private(set) var returning: [IPv4Address: PeerState] = [:]

  /// Peers with a direct path that the relay has ceased to list. This device asks it whether they still belong to the
  /// network.
  private var doubtful: [PeerState] = []

  var unlocated = UnlocatedPackets()
  var searches = LabelSearches()

  /// Three times as many as in the largest network that a relay lists completely.
  private static let maximumPeers = 16_384
  /// How long the sessions with a peer that is not listed are kept: it may only be connecting anew.
  static let longestAbsence = Duration.seconds(30)
  /// How long peers may take to return; most need two seconds or so.
  static let returnTime = Duration.seconds(10)

  package init(deviceID: String) {
    self.deviceID = deviceID
  }

  // MARK: Membership

  /// The device has connected to the relay, and has these addresses.
  package func rejoin(_ membership: Membership) {
    change(membership)
    isComplete = false
  }

  /// The addresses have changed while the connection holds.
  func change(_ membership: Membership) {
    self.membership = membership
    own = PeerName(address: membership.address, deviceID: deviceID)
    epoch += 1
  }

  /// The interface has given its addresses up.
  func leave() {
    membership = nil
  }

  // MARK: Peers

  var listed: some Sequence<PeerState> { peers.values.lazy.filter(\.isListed) }

  func listed(_ address: IPv4Address) -> PeerState? {
    guard let state = peers[address], state.isListed else { return nil }
    return state
  }

  /// The peer whose device ID has this label; any of them, if an old relay has admitted several.
  func listed(label: String) -> PeerState? {
    listed.first { $0.peer.deviceID.utf8.count == label.utf8.count && HostLabel.label(of: $0.peer.deviceID) == label }
  }

  /// Whether an update fits what is known.
  package enum Outcome { case applied, outdated, missedSome }

  /// Takes an update from the relay, and calls `onChange` with each change. The relay may be hostile: peers that cannot
  /// be are left out, as are those beyond `maximumPeers`.
  package func apply(_ update: PeerUpdate, _ onChange: (PeerChange) -> Void = { _ in }) -> Outcome {
    guard let membership else { return .outdated }
    if let since = update.since {
      guard let revision, since <= revision else { return .missedSome }
      guard update.revision >= revision else { return .outdated }
    } else {
      snapshot = [:]
      isPartial = update.partial ?? false
    }
    revision = update.revision
    let joined = update.joined.lazy.filter {
      $0.address != membership.address && membership.pool.isHost($0.address) && DeviceID.isValid($0.deviceID)
    }
    if snapshot == nil {
      for address in update.left { if let state = listed(address) { remove(state, onChange) } }
      for peer in joined where listedCount < Self.maximumPeers || listed(peer.address) != nil { add(peer, onChange) }
    } else {
      for address in update.left { snapshot?[address] = nil }
      for peer in joined where snapshot!.count < Self.maximumPeers || snapshot![peer.address] != nil {
        snapshot![peer.address] = peer
      }
      if update.more == true { return .applied }
      let complete = snapshot ?? [:]
      snapshot = nil
      for state in listed where complete[state.address] != state.peer { remove(state, onChange) }
      for peer in complete.values { add(peer, onChange) }
    }
    isComplete = true
    return .applied
  }

  private func add(_ peer: Peer, _ onChange: (PeerChange) -> Void) {
    let former = peers[peer.address]
    if let former, former.isListed {
      if former.peer == peer {
        former.isWithoutRelay = false
        return
      }
      dismiss(former, onChange)
    }
    let state: PeerState
    if let former, former.peer == peer {
      if let since = former.absentSince, Instant.now().since(since) >= Self.longestAbsence { former.link = nil }
      former.absentSince = nil
      state = former
    } else {
      former?.link = nil
      state = PeerState(peer, relay: relay)
      peers[peer.address] = state
    }
    listedCount += 1
    epoch += 1
    if let missed = returning.removeValue(forKey: peer.address) {
      if missed.peer == peer { return }
      onChange(.left(missed))
    }
    onChange(.joined(state))
  }

  private func unlist(_ state: PeerState) {
    state.absentSince = .now()
    state.isWithoutRelay = false
    state.direct?.end("the peer has left the network")
    listedCount -= 1
    prune(state)
  }

  private func remove(_ state: PeerState, _ onChange: (PeerChange) -> Void) {
    guard !state.path.isDirect else {
      // The two reach each other without the relay; whether they still may is to be asked.
      state.isWithoutRelay = true
      doubtful.append(state)
      return
    }
    dismiss(state, onChange)
  }

  /// The peer counts as gone, whatever path there is to it.
  func dismiss(_ state: PeerState, _ onChange: (PeerChange) -> Void) {
    guard state.isListed else { return }
    unlist(state)
    if isComplete {
      onChange(.left(state))
    } else {
      // The first list of this connection lacks the peer, which may still have to reconnect.
      returning[state.address] = state
    }
  }

  /// Forgets a peer of which nothing is left. To be called when its link or record has gone.
  func prune(_ state: PeerState) {
    epoch += 1
    guard !state.isListed, state.link == nil, state.record == nil, peers[state.address] === state else { return }
    peers[state.address] = nil
  }

  /// The time for peers to return is over: those that are not back have left.
  func endReturn() -> [PeerState] {
    defer { returning = [:] }
    return Array(returning.values)
  }

  /// Packets to a peer take another path from now on.
  func pathsHaveChanged() {
    epoch += 1
  }

  // MARK: Questions to the relay

  func takeDoubtful() -> [PeerState] {
    defer { doubtful = [] }
    return doubtful.filter(\.isWithoutRelay)
  }

  /// Asks the relay which device has this address.
  func ask(for address: IPv4Address) {
    relay.connection?.send(control: ControlMessage.locate(.address(address)).frame())
  }

  /// Whether the relay may know a device at an address that is not listed.
  func mayLocate(_ address: IPv4Address) -> Bool { isPartial && membership?.mayBePeer(address) == true }
}
