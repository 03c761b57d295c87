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
  /// `nil` while nothing is exchanged with the peer.
  var link: PeerLink?
  /// `nil` while nothing is known that the peer tells of itself, or nothing is to be told to it.
  var record: PeerRecord?
  private(set) lazy var path = Path(relay)

  init(_ peer: Peer, relay: FrameCarrier) {
    self.peer = peer
    self.relay = relay
  }

  var address: IPv4Address { peer.address }
  var isListed: Bool { absentSince == nil }
}
