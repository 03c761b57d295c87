public import SystemIO
public import SystemPackage
public import Wire

/// A Linux TUN interface: layer 3, with super-packets where the kernel has them (Documentation/networking/tuntap.rst).
///
/// The interface lives as long as this object. Making and configuring it needs CAP_NET_ADMIN in the user namespace of
/// the network; reading and writing needs nothing. For one thread at a time.
public final class LinuxTun: PacketDevice {
  // Set once.
  public let name: String
  private let tun: TunDescriptor
  private let index: UInt32
  private let splitter = SuperPacketSplitter()
  /// What this kernel takes over, on writing, and hands over, on reading.
  let offloads: TunOffloads

  // Owned by the thread that has this object.
  private var netlink: RouteNetlink
  private var registration: Registration?
  /// Some kernels say that they take UDP super-packets, and then do not (Linux 6.6.44 among them).
  private var refusesUDPSegments = false

  /// The packets that wait for a reader before more are dropped.
  static let queueLength: UInt32 = 1000

  /// Makes the interface `name`, down and without address.
  ///
  /// With `offload`, super-packets are read and written whole; UDP super-packets need Linux 6.2, and are cut in software
  /// when written to an older kernel. Without, plain packets are read, and everything written is cut in software.
  public init(name: String, offload: Bool) throws(TunError) {
    guard Self.isName(name) else { throw .badName(name) }
    self.name = name
    do { tun = try TunDescriptor() } catch { throw TunError(opening: error) }
    do { try tun.attach(name: name) } catch { throw TunError(attaching: name, error) }
    do { try tun.setHeader() } catch { throw .failed(step: "setting the header of \(name)", error, detail: nil) }
    offloads = try Self.choose(offload, for: tun, name)
    do {
      index = try interfaceIndex(of: name)
    } catch {
      throw .failed(step: "finding \(name)", error, detail: nil)
    }
    do { netlink = try RouteNetlink() } catch { throw TunError(netlink: error) }
  }

  /// Opens /dev/net/tun and closes it again: whether this process could make an interface, but for the right to.
  public static func checkDevice() throws(TunError) {
    do { _ = try TunDescriptor() } catch { throw TunError(opening: error) }
  }

  private static func choose(_ offload: Bool, for tun: borrowing TunDescriptor, _ name: String) throws(TunError)
    -> TunOffloads
  {
    let tcp: TunOffloads = [.checksum, .tcpSegmentation]
    let choices: [TunOffloads] = offload ? [tcp.union(.udpSegmentation), tcp] : [[]]
    var failure = Errno.invalidArgument
    for choice in choices {
      do {
        try tun.setOffloads(choice)
        return choice
      } catch {
        failure = error
        guard error == .invalidArgument else { break }
      }
    }
    throw .failed(step: "setting the offloads of \(name)", failure, detail: nil)
  }

  /// What the kernel takes for a name (`dev_valid_name`), without `%`, by which it makes up a number.
  private static func isName(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && name != "." && name != ".."
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"/:%".utf8.contains($0) }
  }

  // MARK: Packets

  public func register(with loop: EventLoop, handler: any EventHandler) throws(Errno) {
    precondition(registration == nil, "the device has a loop")
    registration = try loop.register(tun.descriptor, for: .readable, handler: handler)
  }

  public func deregister(from loop: EventLoop) {
    guard let registration = registration.take() else { return }
    loop.deregister(tun.descriptor, registration)
  }

  /// Throws EBADFD once somebody has deleted the interface.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
    precondition(buffer.count >= Self.maximumRead)
    return try tun.descriptor.read(into: buffer)
  }

  /// Writes a packet that may have come from anywhere. The kernel sees a header made anew of what was checked.
  public func write(_ packet: UnsafeRawBufferPointer) -> Bool {
    let bytes = packet.bytes
    guard let header = OffloadHeader(parsing: bytes) else { return false }
    let content = bytes.extracting(OffloadHeader.size..<bytes.byteCount)
    guard let layout = PacketLayout(of: content, with: header) else { return false }
    if takes(layout) {
      if put(content, layout.header) { return true }
      guard layout.isUDPSegmentation else { return false }
    }
    let isTaken = putSegments(of: content, layout)
    if isTaken, takes(layout) { refusesUDPSegments = true }
    return isTaken
  }

  private func putSegments(of content: RawSpan, _ layout: PacketLayout) -> Bool {
    var isTaken = true
    splitter.split(content, layout) { segment in
      // After a refusal the rest would only be a stream with a hole.
      if isTaken { isTaken = put(segment, OffloadHeader()) }
    }
    return isTaken
  }

  public var takesJoinedDatagrams: Bool { offloads.contains(.udpSegmentation) && !refusesUDPSegments }

  private func takes(_ layout: PacketLayout) -> Bool {
    switch layout.work {
    case .nothing: true
    case .checksum: offloads.contains(.checksum)
    case .segment(let cut) where cut.transport == .tcp:
      offloads.contains(.tcpSegmentation) && !layout.needsSoftware
    case .segment: takesJoinedDatagrams && !layout.needsSoftware
    }
  }

  private func put(_ packet: RawSpan, _ header: OffloadHeader) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: OffloadHeader.size, alignment: 2) { space in
      header.write(to: space)
      return packet.withUnsafeBytes { packet in
        (try? tun.write(header: UnsafeRawBufferPointer(space), packet: packet)) ?? false
      }
    }
  }

  // MARK: Address and link

  @discardableResult public func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6? {
    let hasBroadcast = prefix.length < 31
    guard prefix.contains(address), !hasBroadcast || (address != prefix.network && address != prefix.broadcast) else {
      throw .addressRefused("\(address)/\(prefix.length)", reason: "it is no host's address in \(prefix)")
    }
    guard (68...65_535).contains(mtu) else { throw .mtuRefused(mtu, reason: "out of range") }
    do {
      try netlink.setMTU(UInt32(mtu), of: index)
    } catch {
      throw TunError(mtu: mtu, of: name, error)
    }
    // Fails where IPv6 is off, and then there is nothing to stop.
    try? netlink.stopAddressGeneration(of: index)
    do {
      try netlink.setQueueLength(Self.queueLength, of: index)
    } catch {
      throw TunError(step: "setting the queue length of \(name)", error)
    }
    try setAddress(
      RouteNetlink.Address(
        address: address, prefixLength: prefix.length, broadcast: hasBroadcast ? prefix.broadcast : nil))
    do {
      try netlink.bringUp(index)
    } catch {
      throw TunError(step: "bringing \(name) up", error)
    }
    guard let prefix6 else {
      // Where IPv6 is off, there is nothing to take away.
      try? clearAddresses6()
      return nil
    }
    return setAddress6(
      RouteNetlink.Address6(address: prefix6.address(of: address), prefixLength: prefix6.length), mtu)
  }

  private func setAddress(_ wanted: RouteNetlink.Address) throws(TunError) {
    do throws(NetlinkFailure) {
      let present = try netlink.addresses(of: index)
      if present == [wanted] { return }
      // The wanted one comes before others go, so that it is there all the time if only its prefix changes; except what the
      // kernel takes for the same.
      for other in present where other != wanted && other.isSame(as: wanted) { try remove(other) }
      if !present.contains(wanted) { try add(wanted) }
      for other in present where other != wanted && !other.isSame(as: wanted) { try remove(other) }
      // Where it was second in the network of one that has gone, it may have gone with that.
      if try !netlink.addresses(of: index).contains(wanted) { try add(wanted) }
    } catch {
      throw TunError(address: "\(wanted.address)/\(wanted.prefixLength)", of: name, error)
    }
  }

  private func add(_ address: RouteNetlink.Address) throws(NetlinkFailure) {
    try netlink.add(address, to: index)
  }

  private func remove(_ address: RouteNetlink.Address) throws(NetlinkFailure) {
    do {
      try netlink.remove(address, from: index)
    } catch {
      // Gone with the first address of its network.
      guard error.error == .addressNotAvailable else { throw error }
    }
  }

  private func setAddress6(_ wanted: RouteNetlink.Address6, _ mtu: Int) -> MissingIPv6? {
    guard mtu >= 1280 else { return .mtuTooSmall(mtu) }
    do throws(NetlinkFailure) {
      let present = try netlink.addresses6(of: index)
      if !present.contains(wanted) { try netlink.add(wanted, to: index) }
      for other in present where other != wanted { try netlink.remove(other, from: index) }
      return nil
    } catch {
      return .refused(error.reason)
    }
  }

  private func clearAddresses6() throws(NetlinkFailure) {
    for address in try netlink.addresses6(of: index) { try netlink.remove(address, from: index) }
  }

  public func clearAddresses() throws(TunError) {
    do {
      for address in try netlink.addresses(of: index) { try remove(address) }
    } catch {
      throw TunError(step: "taking the addresses of \(name) away", error)
    }
    try? clearAddresses6()
  }

  public func hostNetworks() throws(TunError) -> [HostNetwork] {
    try HostNetworks.networks(by: &netlink, except: index)
  }
}

extension RouteNetlink.Address {
  /// Whether the kernel would not have both on an interface.
  fileprivate func isSame(as other: Self) -> Bool {
    address == other.address && prefixLength == other.prefixLength
  }
}
