/// What became of a device's packets.
public struct DeviceCounters: Sendable, Equatable {
  /// Packets from the TUN to peers, and from peers to the TUN. A super-packet, or each part that it is sent in, counts once.
  public var sent = 0
  public var received = 0
  /// Dropped: no valid packet.
  public var malformed = 0
  /// Dropped: for an address that nobody has, or outside the network.
  public var unroutable = 0
  /// Dropped: from a peer, but not from its address or not for this device.
  public var misaddressed = 0
  /// Dropped: broadcast or multicast beyond the limit.
  public var limited = 0
  /// Dropped: too many waited for a session with their peer.
  public var overdue = 0
  /// Dropped: super-packets, because too much stood on the way to their peer.
  public var early = 0
  /// What the sessions with peers have seen.
  public var links = PeerLinkCounters()
  /// What has been said with them.
  public var messages = PeerMessageCounters()
}
