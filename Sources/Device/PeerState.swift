internal import SystemIO
internal import Wire

/// Everything that this device has with one peer. Another device at the same address, or the same one with another key,
/// has another state. Owned by the device's thread.
package final class PeerState {
  // Set once.
  let peer: Peer
  private let relay: FrameCarrier

  /// Since when the relay does not list the peer; `nil`: it lists it. Until it does again, nothing is sent to the peer.
  var absentSince: Instant?
  /// Whether the relay has ceased to list the peer, which stays because of its direct path.
  var isWithoutRelay = false
  /// `nil` while nothing is exchanged with the peer.
  var link: PeerLink? {
    didSet { if link == nil { direct?.end("the sessions with the peer have ended") } }
  }
  /// `nil` while nothing is known that the peer tells of itself, or nothing is to be told to it.
  var record: PeerRecord?
  /// The path by way of the relay.
  private(set) lazy var relayPath = Path(relay, address: peer.address)
  /// Frames to the peer take this one.
  private(set) lazy var path = relayPath
  /// What there is of direct paths; `nil` before the first packet.
  var direct: PeerDirect?

  init(_ peer: Peer, relay: FrameCarrier) {
    self.peer = peer
    self.relay = relay
  }

  var address: IPv4Address { peer.address }
  var isListed: Bool { absentSince == nil }

  /// Whether frames can be sent to the peer now.
  var isReachable: Bool { path.carrier.connection != nil }

  func take(_ path: Path) {
    self.path = path
    link?.path = path
  }
}
