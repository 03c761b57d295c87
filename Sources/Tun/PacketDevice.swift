public import SystemIO
public import SystemPackage
public import Wire

/// A layer-3 network interface to read packets from and write packets to; each packet has its `OffloadHeader` in front.
///
/// For one thread at a time: the loop's own once the device is registered.
public protocol PacketDevice: AnyObject {
  /// The interface's name as of the last `restore`, or when it was made.
  var name: String { get }

  /// Calls `handler` on `loop` whenever a packet can be read. Only with one loop at a time.
  func register(with loop: EventLoop, handler: any EventHandler) throws(Errno)

  /// Ends that; does nothing if the device is not registered.
  func deregister(from loop: EventLoop)

  /// Reads one packet, `OffloadHeader` in front, into `buffer`, which must hold `maximumRead` bytes. `nil` if none
  /// waits.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int?

  /// Writes one packet, `OffloadHeader` in front; splits it in software if this device lacks the offload that it needs.
  ///
  /// The bytes may come from anywhere. False: they are no valid packet, or the kernel refuses it, and the packet is
  /// dropped.
  func write(_ packet: UnsafeRawBufferPointer) -> Bool

  /// Whether the device takes UDP super-packets whole, so that joining datagrams pays.
  var takesJoinedDatagrams: Bool { get }

  /// Gives the interface this address of the network `prefix`, and the corresponding one of `prefix6`, the network's
  /// IPv6 pool; removes other addresses, sets the MTU in bytes and brings the interface up. Changes only what differs,
  /// and no other routes; an address that stays never goes missing, even if its prefix changes.
  ///
  /// While the interface is configured, packets for both networks are unreachable wherever no other route takes them:
  /// they never leave by another interface.
  ///
  /// Returns why the interface lacks the IPv6 address: a host without IPv6 uses IPv4 alone.
  @discardableResult func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6?

  /// Restores what another program has changed since `configure`: the link's state, the MTU, addresses and routes.
  /// Leaves further addresses and routes. Returns the differences; none before `configure`, and after `clearAddresses`.
  /// Updates `name`.
  func restore() throws(TunError) -> InterfaceRepair

  /// Removes the interface's addresses and the unreachable routes, so that the host's other networks can use them.
  func clearAddresses() throws(TunError)

  /// The host's networks, without this interface's.
  func hostNetworks() throws(TunError) -> [HostNetwork]
}

extension PacketDevice {
  /// Without IPv6.
  public func configure(address: IPv4Address, in prefix: IPv4Prefix, mtu: Int) throws(TunError) {
    try configure(address: address, in: prefix, and: nil, mtu: mtu)
  }

  /// The largest read in bytes: the header and the longest IPv6 packet without a jumbo payload.
  public static var maximumRead: Int { OffloadHeader.size + 40 + 65_535 }

  public var maximumRead: Int { Self.maximumRead }
}
