package import Wire

/// This device's addresses in its network, and which packets they concern.
package struct Membership: Equatable {
  var address: IPv4Address
  var pool: IPv4Prefix
  var relayAddress: IPv4Address
  /// The network's IPv6 addresses, if it has any.
  var pool6: IPv6Prefix?
  /// This device's IPv6 address, if this host has IPv6.
  var address6: IPv6Address?

  package init(
    address: IPv4Address, pool: IPv4Prefix, relayAddress: IPv4Address, pool6: IPv6Prefix? = nil,
    address6: IPv6Address? = nil
  ) {
    self.address = address
    self.pool = pool
    self.relayAddress = relayAddress
    self.pool6 = pool6
    self.address6 = address6
  }

  /// The destination of a packet from this host.
  enum Target: Equatable {
    /// The device with this lease, if there is one.
    case lease(IPv4Address)
    case everybody
    /// An address outside the network.
    case outside
  }

  /// An IPv6 address stands for the lease that it goes with. Only IPv4 has packets for everybody: nothing here needs
  /// IPv6 multicast.
  func target(of packet: IPPeek) -> Target {
    switch packet {
    case .ipv4(let peek):
      if isForAll(peek.destination) { return .everybody }
      return pool.contains(peek.destination) ? .lease(peek.destination) : .outside
    case .ipv6(let peek):
      guard let lease = pool6?.lease(of: peek.destination), pool.contains(lease), lease != pool.broadcast else {
        return .outside
      }
      return .lease(lease)
    }
  }

  /// Whether a packet from the peer at `peer` has that source address, and this device as destination.
  func accepts(_ packet: IPPeek, from peer: IPv4Address) -> Bool {
    switch packet {
    case .ipv4(let peek):
      peek.source == peer && (peek.destination == address || isForAll(peek.destination))
    case .ipv6(let peek):
      peek.destination == address6 && pool6?.lease(of: peek.source) == peer
    }
  }

  /// Whether another device may have this address.
  func mayBePeer(_ address: IPv4Address) -> Bool {
    pool.isHost(address) && address != self.address && !isForAll(address)
  }

  private func isForAll(_ destination: IPv4Address) -> Bool {
    destination.isMulticast || destination == pool.broadcast || destination == .limitedBroadcast
  }
}
