public import SystemIO
public import SystemPackage
public import Wire

/// A layer-3 network interface that packets are read from and written to; each packet has its `OffloadHeader` in front.
///
/// It belongs to one thread at a time: whoever sets it up, and the loop's own once it is registered.
public protocol PacketDevice: AnyObject {
  /// The interface's name, as `ip link` showed it when `restore` looked last, or when it was made.
  var name: String { get }

  /// Calls `handler` on `loop` whenever a packet can be read. With one loop at a time.
  func register(with loop: EventLoop, handler: any EventHandler) throws(Errno)

  /// Ends that; nothing if it is not registered.
  func deregister(from loop: EventLoop)

  /// Reads one packet, `OffloadHeader` in front, into `buffer`, which must hold `maximumRead` bytes. `nil` if none waits.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int?

  /// Writes one packet, `OffloadHeader` in front, split in software if this device lacks the offload it asks for.
  ///
  /// The bytes may come from anywhere. False: they are no valid packet, or the system refuses it; it is dropped.
  func write(_ packet: UnsafeRawBufferPointer) -> Bool

  /// Whether UDP super-packets are written as they are, so that it pays to join datagrams.
  var takesJoinedDatagrams: Bool { get }

  /// Gives the interface this address of the network `prefix`, and of `prefix6`, a network's IPv6 pool, the one that
  /// goes with it; takes other addresses away, sets the MTU in bytes and brings it up. What is as it should be already
  /// is left alone, and so are other routes over the interface; an address that stays is there all the time, although
  /// its prefix may change.
  ///
  /// As long as the interface is so configured, packets for both networks are unreachable wherever no other route takes
  /// them: they never leave by another interface.
  ///
  /// Returns why there is no IPv6 address if there should be one: a host without IPv6 goes on by IPv4 alone.
  @discardableResult func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6?

  /// Puts back what another program has changed since `configure`: the link's state, the MTU, addresses and routes.
  /// Further addresses and routes of the interface stay. Says what was different; nothing before `configure`, and after
  /// `clearAddresses`. Learns the interface's name anew.
  func restore() throws(TunError) -> InterfaceRepair

  /// Takes the interface's addresses away, and what makes the networks unreachable elsewhere, so that the host's other
  /// networks have them.
  func clearAddresses() throws(TunError)

  /// The networks that the host has, but for this interface's own.
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
